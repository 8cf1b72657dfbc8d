// Lists what `find FOLDER -type f` lists: regular files, in every folder below, following no symbolic link.
import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { printable } from './format.js'
import type { ListedFile } from './tasks.js'

/** How many folders are read at once, and how many files asked for their size and time. */
const FOLDERS = 16
const FILES = 64

/**
 * @param o.leaveOut absolute paths that are not listed
 * @param o.warn is told of each folder that cannot be read; the walk goes on
 */
export async function* walk(
  folder: string,
  o: { leaveOut: ReadonlySet<string>; warn: (line: string) => void },
): AsyncGenerator<ListedFile> {
  async function list(at: string): Promise<readonly [string, readonly Dirent[]]> {
    try {
      return [at, await readdir(at, { withFileTypes: true })]
    } catch (error) {
      o.warn(`Left out, because it cannot be read: ${printable((error as Error).message)}`)
      return [at, []]
    }
  }
  const folders = [folder]
  while (folders.length > 0) {
    const paths: string[] = []
    for (const [at, entries] of await Promise.all(folders.splice(-FOLDERS).map(list)))
      for (const entry of entries)
        if (entry.isDirectory()) folders.push(join(at, entry.name))
        else if (entry.isFile()) paths.push(join(at, entry.name))
    const wanted = paths.filter((path) => !o.leaveOut.has(path))
    for (let i = 0; i < wanted.length; i += FILES) yield* await Promise.all(wanted.slice(i, i + FILES).map(look))
  }
}

async function look(path: string): Promise<ListedFile> {
  // A file that cannot even be looked at is listed all the same: its job will find out why, and keep the reason.
  const { mtimeMs, size } = await lstat(path).catch(() => ({ mtimeMs: 0, size: 0 }))
  return { path, mtimeMs, size }
}
