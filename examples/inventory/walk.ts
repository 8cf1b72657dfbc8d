// Lists what `find FOLDER -type f` lists: regular files, in every folder below, following no symbolic link.
import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ListedFile } from './tasks.js'

/** How many files are asked for their size and time at once. */
const AT_ONCE = 64

/**
 * @param o.leaveOut absolute paths that are not listed
 * @param o.onUnreadable called for each folder that cannot be read; the walk goes on
 */
export async function* walk(
  folder: string,
  o: { leaveOut: ReadonlySet<string>; onUnreadable: (folder: string, error: Error) => void },
): AsyncGenerator<ListedFile> {
  const folders = [folder]
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    const here = at
    const entries = await readdir(here, { withFileTypes: true }).catch((error: Error): Dirent[] => {
      o.onUnreadable(here, error)
      return []
    })
    for (const entry of entries) if (entry.isDirectory()) folders.push(join(here, entry.name))
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(here, entry.name))
    const wanted = files.filter((path) => !o.leaveOut.has(path))
    for (let i = 0; i < wanted.length; i += AT_ONCE)
      yield* await Promise.all(wanted.slice(i, i + AT_ONCE).map((path) => look(path)))
  }
}

async function look(path: string): Promise<ListedFile> {
  // A file that cannot even be looked at is listed all the same: its job will find out why, and keep the reason.
  const { mtimeMs, size } = await lstat(path).catch(() => ({ mtimeMs: 0, size: 0 }))
  return { path, mtimeMs, size }
}
