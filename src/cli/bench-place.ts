// Where `millrace bench` puts its jobs: never in a database of the user, but on the same disk, and gone afterwards.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'

export interface BenchPlace {
  /** The database to dial. */
  readonly url: string
  /** Remove what was made. To be called when the database is closed, and again at the end of the process. */
  remove(): void
}

/**
 * A file of its own: beside the file of `url`, so that the disk is the same, or in the folder for temporary files. Tables in
 * the user's own file would leave it grown, and would hold its lock while other processes work.
 * @throws ConfigurationError for a URL that is wrong
 */
export async function openBenchPlace(url: string | undefined): Promise<BenchPlace> {
  if (url === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
    return placeOf(join(folder, 'jobs.db'), '', [folder])
  }
  if (!url.startsWith('sqlite:')) return { url, remove: () => {} } // in memory, or refused when it is dialled
  const [{ optionsFromUrl }, { canonicalPath }] = await Promise.all([
    import('../drivers/sqlite/options.js'),
    import('../drivers/sqlite/engine.js'),
  ])
  const file = `${canonicalPath(optionsFromUrl(url).file)}.bench-${randomUUID().slice(0, 8)}`
  const settings = new URLSearchParams(url.split('?', 2)[1])
  settings.delete('create') // the user's file may have to be there; this one is made
  return placeOf(file, settings.size === 0 ? '' : `?${settings.toString()}`, [file, `${file}-wal`, `${file}-shm`])
}

function placeOf(file: string, query: string, made: readonly string[]): BenchPlace {
  return {
    url: `sqlite:${encodeURIComponent(file)}${query}`,
    remove: () => made.forEach((path) => rmSync(path, { recursive: true, force: true })),
  }
}
