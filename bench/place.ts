// One temporary folder for a whole bench, with a folder in it for each measurement; gone when the process ends.
import {
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Place {
  /** Name of the file system: a disk in memory keeps nothing over a power cut, and is fast at it. */
  readonly filesystem: string
  /** An empty folder, or a copy of one, for the time of `use`. */
  withFolder<T>(use: (folder: string) => Promise<T>, copyOf?: string): Promise<T>
  /** A folder that stays till the end. */
  keep(name: string): string
  remove(): void
}

// https://man7.org/linux/man-pages/man2/statfs.2.html
const FILESYSTEMS: Readonly<Record<number, string>> = {
  0x01021994: 'tmpfs',
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
  0x2fc12fc1: 'zfs',
  0x1a: 'apfs',
}

export function openPlace(): Place {
  const root = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  const remove = () => rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  const { type } = statfsSync(root)
  let next = 0
  return {
    filesystem: FILESYSTEMS[type] ?? `0x${type.toString(16)}`,
    async withFolder(use, copyOf) {
      const folder = join(root, `run-${next++}`)
      mkdirSync(folder)
      try {
        if (copyOf !== undefined) copyOnDisk(copyOf, folder)
        return await use(folder)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    keep(name) {
      const folder = join(root, name)
      mkdirSync(folder)
      return folder
    },
    remove,
  }
}

/** Written to the disk at once: otherwise the system would do it while we measure. */
export function copyOnDisk(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    copyFileSync(join(from, name), join(to, name))
    const file = openSync(join(to, name), 'r+')
    fsyncSync(file)
    closeSync(file)
  }
}
