// Opening the file, with an error for each thing that can be wrong, and checking a caller's own handle.
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigurationError, hasCode, messageOf } from '../../core/errors.js'
import { isBusy, translate } from './commits.js'
import { claimFile, dbOf, isSameFile, type Db, type Row, type SqliteConstructor, type SqliteHandle } from './engine.js'
import type { SqliteSettings } from './options.js'

/**
 * @param write make sure that the file can be written; without it, an open file needs no lock and so never waits for one
 * @throws ConfigurationError when the file cannot be a database; SQLite's own error when it is locked, to try again.
 */
export function openFile(settings: SqliteSettings, path: string, Engine: SqliteConstructor, write: boolean): Db {
  checkPath(settings, path)
  claimFile(path, Engine)
  let db: Db | undefined
  try {
    db = dbOf(new Engine(path))
    // We wait for locks ourselves, without blocking the event loop.
    db.exec('PRAGMA busy_timeout = 0')
    db.get('SELECT count(*) AS n FROM sqlite_schema')
    const modeOf = (row: Row | undefined) => row?.['journal_mode']
    const now = modeOf(db.get('PRAGMA journal_mode'))
    const mode = now === 'wal' ? now : modeOf(db.get('PRAGMA journal_mode = WAL'))
    if (mode !== 'wal')
      throw new ConfigurationError(
        `${settings.file} cannot use write-ahead logging (journal mode "${mode}"). Put it on a local disk: network file systems do not support it.`,
      )
    // FULL: a commit is on the disk when it returns, so that a resolved enqueue survives a power cut.
    db.exec('PRAGMA synchronous = FULL')
    db.exec('PRAGMA foreign_keys = ON')
    if (write) db.exec('BEGIN IMMEDIATE; ROLLBACK') // a read-only file says so now, and not at the first job
    return db
  } catch (error) {
    db?.close()
    if (isBusy(error) || error instanceof ConfigurationError) throw error
    if (isNotCompiled(error))
      throw new ConfigurationError(
        `better-sqlite3 is installed, but not compiled for Node ${process.version}. Run: npm rebuild better-sqlite3 (it needs a C++ compiler, and npm's leave to run its install script), or use Node 22.13 or later.`,
        { cause: error },
      )
    const known = translate(error, settings.file)
    throw known === error ? error : new ConfigurationError((known as Error).message, { cause: error })
  }
}

function checkPath({ file, create }: SqliteSettings, path: string): void {
  const folder = dirname(path)
  if (!isThere(folder))
    throw new ConfigurationError(`${file}: the folder ${folder} does not exist. Create it: mkdir -p ${folder}`)
  if (!isThere(path)) {
    if (create) return
    throw new ConfigurationError(
      `${file}: there is no such file. Check the path; a worker or \`millrace setup\` creates it.`,
    )
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new ConfigurationError(
      `${file} is a folder. Give the path of a file in it, for example sqlite:${file}/jobs.db.`,
    )
}

/** The native part of better-sqlite3 is missing, or was made for another Node. */
function isNotCompiled(error: unknown): boolean {
  return hasCode(error, 'ERR_DLOPEN_FAILED') || /bindings file|NODE_MODULE_VERSION/.test(messageOf(error))
}

/** Whether a path is there, as far as this user may know: what cannot be looked at is left to SQLite to open. */
function isThere(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/**
 * The caller's handle, if it is one of our library and file.
 * @throws ConfigurationError otherwise.
 */
export function sameDatabase(
  handle: SqliteHandle,
  own: { engine: SqliteConstructor; path: string; file: string },
): SqliteHandle {
  if (!(handle instanceof own.engine))
    throw new ConfigurationError(
      `{ tx } is no database of this driver's SQLite library (${own.engine.name}). Create the driver with the class your code uses: sqlite({ file, engine: Database }).`,
    )
  const main = handle
    .prepare('PRAGMA database_list')
    .all()
    .find((row) => (row as Row)['name'] === 'main') as Row | undefined
  const opened = String(main?.['file'] ?? '')
  if (!isSameFile(opened, own.path))
    throw new ConfigurationError(
      `{ tx } has ${opened || 'a database in memory'} open, but the jobs are in ${own.file}. Open the same file.`,
    )
  const { inTransaction, isTransaction } = handle as { inTransaction?: boolean; isTransaction?: boolean }
  if ((inTransaction ?? isTransaction) === false)
    throw new ConfigurationError(
      '{ tx } has no open transaction, so the job could not belong to it. Begin one first, and enqueue before it ends.',
    )
  return handle
}
