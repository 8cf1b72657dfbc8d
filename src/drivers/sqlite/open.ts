// Opening the file and bringing its schema up to date, with an error for each thing that can be wrong.
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigurationError, hasCode, messageOf } from '../../core/errors.js'
import { isBusy, lockedTooLong, translate } from './commits.js'
import { dbOf, type Db, type Row, type SqliteConstructor } from './engine.js'
import { checkMarked, isLedger, markLedger } from './ledger-schema.js'
import { checkVersion, migrate, schemaVersion, SCHEMA_VERSION, type Tables } from './migrations.js'
import { KEPT_LOG } from './storage.js'
import { setTimeout as sleep } from 'node:timers/promises'

/** What opening needs to know. */
export interface OpenOptions {
  /** As the user wrote it, for messages. */
  readonly file: string
  readonly path: string
  /** Make the file when it is not there. */
  readonly create: boolean
  /** Create or migrate the schema. */
  readonly migrate: boolean
  readonly durability: 'full' | 'normal'
  /** How long to wait for a lock, in milliseconds. */
  readonly publishTimeout: number
  /** Its jobs are moved by another broker. */
  readonly ledger: boolean
}

/** The database, with a schema that fits this code. Waits for locks without blocking the event loop. */
export async function openDatabase(o: OpenOptions, Engine: SqliteConstructor, t: Tables): Promise<Db> {
  let opened: Db | undefined
  try {
    opened = await untilUnlocked(o, () => openFile(o, Engine))
    if (o.migrate) await setupOn(opened, t, o)
    else {
      checkVersion(schemaVersion(opened, t), o.file)
      if (o.ledger) checkMarked(opened, t, o.file)
    }
    return opened
  } catch (error) {
    opened?.close()
    throw error
  }
}

/** Bring the schema up to date. Idempotent, safe to race. */
export async function setupOn(db: Db, t: Tables, o: OpenOptions): Promise<void> {
  const current = (): boolean => schemaVersion(db, t) === SCHEMA_VERSION && (!o.ledger || isLedger(db, t))
  if (await untilUnlocked(o, current)) return
  await untilUnlocked(o, () => {
    db.exec('BEGIN IMMEDIATE')
    try {
      migrate(db, t, o.file)
      if (o.ledger) markLedger(db, t)
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  })
}

/** Try again while another program holds the lock. */
async function untilUnlocked<T>(o: OpenOptions, attempt: () => T): Promise<T> {
  const deadline = performance.now() + o.publishTimeout
  for (;;) {
    try {
      return attempt()
    } catch (error) {
      if (!isBusy(error)) throw translate(error, o.file)
      if (performance.now() > deadline) throw lockedTooLong(o.file, o.publishTimeout, error)
    }
    await sleep(5 + Math.random() * 20)
  }
}

/** @throws ConfigurationError when the file cannot be a database; SQLite's own error when it is locked, to try again. */
function openFile(o: OpenOptions, Engine: SqliteConstructor): Db {
  checkPath(o)
  let db: Db | undefined
  try {
    db = dbOf(new Engine(o.path))
    // We wait for locks ourselves, without blocking the event loop.
    db.exec('PRAGMA busy_timeout = 0')
    const isNew = db.get('SELECT count(*) AS n FROM sqlite_schema')?.['n'] === 0
    // Only a file without tables takes these. Larger pages: jobs are written in batches, side by side. Vacuum: removed jobs
    // give their space back without a rewrite of the file.
    if (isNew) db.exec('PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL')
    const modeOf = (row: Row | undefined) => row?.['journal_mode']
    const now = modeOf(db.get('PRAGMA journal_mode'))
    const mode = now === 'wal' ? now : modeOf(db.get('PRAGMA journal_mode = WAL'))
    if (mode !== 'wal')
      throw new ConfigurationError(
        `${o.file} cannot use write-ahead logging (journal mode "${mode}"). Put it on a local disk: network file systems do not support it.`,
      )
    // FULL: a commit is on the disk when it returns, so that a resolved enqueue survives a power cut. NORMAL: it survives
    // the death of the process, and a power cut may take the last moments.
    db.exec(`PRAGMA synchronous = ${o.durability === 'full' ? 'FULL' : 'NORMAL'}`)
    db.exec(`PRAGMA journal_size_limit = ${KEPT_LOG}`)
    db.exec('PRAGMA foreign_keys = ON')
    // Without migrations, opening needs no lock and so never waits for one.
    if (o.migrate) db.exec('BEGIN IMMEDIATE; ROLLBACK') // a read-only file says so now, and not at the first job
    return db
  } catch (error) {
    db?.close()
    if (isBusy(error) || error instanceof ConfigurationError) throw error
    if (isNotCompiled(error))
      throw new ConfigurationError(
        `better-sqlite3 is installed, but not compiled for Node ${process.version}. Run: npm rebuild better-sqlite3 (it needs a C++ compiler, and npm's leave to run its install script), or use Node 22.13 or later.`,
        { cause: error },
      )
    const known = translate(error, o.file)
    throw known === error ? error : new ConfigurationError((known as Error).message, { cause: error })
  }
}

function checkPath({ file, path, create }: OpenOptions): void {
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
