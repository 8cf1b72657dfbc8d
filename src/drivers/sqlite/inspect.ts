// What only this driver can know of its file's health. Nothing here changes the file; `deep` reads all of it.
import { statSync, statfsSync, type StatsFs } from 'node:fs'
import { basename, dirname } from 'node:path'
import { messageOf } from '../../core/errors.js'
import type { Finding } from '../../driver/driver.js'
import { sqliteCode, type Db } from './engine.js'
import { isLedger } from './ledger-schema.js'
import { SCHEMA_VERSION, schemaVersion, type Tables } from './migrations.js'
import type { Durability } from './options.js'

export interface InspectOptions {
  /** The file's own path, not one that leads to it. */
  readonly path: string
  readonly durability: Durability
  readonly deep: boolean
}

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
/** The log is emptied at 4 MiB; one that is much longer cannot be. */
const LONG_WAL = 64 * MIB
/** Free pages are used again, so only many of them are worth an hour without workers. */
const MUCH_FREE = 256 * MIB
// https://www.sqlite.org/pragma.html#pragma_auto_vacuum
const INCREMENTAL = 2
/** Whoever has a worker looks once a second, and after a failure every five. */
const LATE_HANDING = 15_000
const LITTLE_SPACE = GIB
const LITTLE_SHARE = 0.05
const NO_SPACE = 100 * MIB
/** Lines of a failed check that a message holds. */
const NAMED = 3

export function inspectReads(t: Tables) {
  return {
    /** May take minutes with `deep`. */
    inspect(db: Db, o: InspectOptions): readonly Finding[] {
      const volume = volumeOf(o.path)
      return [
        checkSchema(db, t),
        checkDurability(db, o.durability),
        checkSize(db, o.path),
        checkWal(db, o.path),
        ...checkHandings(db, t),
        ...(volume ? [checkSpace(volume), checkFileSystem(volume, o.path)] : []),
        ...(o.deep ? [checkPages(db)] : []),
      ]
    },
  }
}

function checkSchema(db: Db, tables: Tables): Finding {
  const version = schemaVersion(db, tables)
  const facts = { version, expected: SCHEMA_VERSION }
  if (version === SCHEMA_VERSION) return { code: 'schema', level: 'ok', message: `Schema version ${version}.`, facts }
  return {
    code: 'schema',
    level: 'error',
    message: `The schema has version ${version}, and this code needs ${SCHEMA_VERSION}.`,
    advice:
      version > SCHEMA_VERSION
        ? 'Another process has a newer millrace: update the package here, too.'
        : 'Run: millrace setup worker.ts',
    facts,
  }
}

function checkDurability(db: Db, wanted: Durability): Finding {
  const mode = String(db.get('PRAGMA journal_mode')?.['journal_mode'])
  const synchronous = Number(db.get('PRAGMA synchronous')?.['synchronous'])
  const facts = { journalMode: mode, synchronous }
  if (mode === 'wal' && synchronous >= 2)
    return { code: 'durability', level: 'ok', message: 'Write-ahead log, synchronous: FULL.', facts }
  if (mode === 'wal' && synchronous === 1 && wanted === 'normal')
    return {
      code: 'durability',
      level: 'ok',
      message: 'Write-ahead log, synchronous: NORMAL, as asked for: a power cut may take the last moments.',
      facts,
    }
  return {
    code: 'durability',
    level: 'error',
    message: `The journal mode is ${mode} and synchronous is ${synchronous}, so a power cut may lose jobs.`,
    advice: 'Something else has changed the mode of the file. Restart the workers: opening the file sets it.',
    facts,
  }
}

function checkSize(db: Db, path: string): Finding {
  const pragma = (name: string) => Number(db.get(`PRAGMA ${name}`)?.[name])
  const pageSize = pragma('page_size')
  const [bytes, free] = [pragma('page_count') * pageSize, pragma('freelist_count') * pageSize]
  const share = bytes === 0 ? 0 : free / bytes
  const facts = { bytes, freeBytes: free }
  const message = `${basename(path)} has ${size(bytes)}, ${percent(share)} of it free for new jobs.`
  // Workers give it back by themselves where the file was made by this version.
  if (free < MUCH_FREE || share < 0.5 || pragma('auto_vacuum') === INCREMENTAL)
    return { code: 'file-size', level: 'ok', message, facts }
  return {
    code: 'file-size',
    level: 'warning',
    message,
    advice: 'To give the space back, stop the workers and run: sqlite3 FILE VACUUM (it needs as much space again).',
    facts,
  }
}

/**
 * A long log by itself is no fault: SQLite keeps its length and writes it anew from the start. It is one when a checkpoint
 * cannot bring it into the database, because somebody still reads an old state.
 */
function checkWal(db: Db, path: string): Finding {
  const bytes = sizeOf(`${path}-wal`)
  const message = `The write-ahead log has ${size(bytes)}.`
  if (bytes < LONG_WAL) return { code: 'wal', level: 'ok', message, facts: { bytes } }
  const row = db.get('PRAGMA wal_checkpoint(PASSIVE)')
  const [frames, done] = [Number(row?.['log']), Number(row?.['checkpointed'])]
  const facts = { bytes, frames, checkpointed: done }
  if (frames <= done)
    return { code: 'wal', level: 'ok', message: `${message} All of it is in the database, so it is used again.`, facts }
  return {
    code: 'wal-pinned',
    level: 'warning',
    message: `The write-ahead log has ${size(bytes)}, and cannot be emptied: ${frames - done} of ${frames} pages are held back.`,
    advice:
      'A process reads an old state: look for a transaction that stays open (a backup, a shell, a report), and end it.',
    facts,
  }
}

/** Of a file that keeps the books of a broker: jobs that somebody should have handed to it by now. */
function checkHandings(db: Db, t: Tables): readonly Finding[] {
  if (!isLedger(db, t)) return []
  const now = Date.now()
  const row = db.get(overdueSql(t), now - LATE_HANDING)
  const count = Number(row?.['count'])
  if (count === 0)
    return [{ code: 'handings', level: 'ok', message: 'No job waits to be handed to the broker.', facts: { count } }]
  const since = Number(row?.['since'])
  const facts = { count, since: new Date(since).toISOString() }
  return [
    {
      code: 'handings-overdue',
      level: 'error',
      message: `${count} job${count === 1 ? ' waits' : 's wait'} to be handed to the broker, the first since ${facts.since}.`,
      advice:
        'No process with a worker runs that is connected to both this file and the broker, or the broker is away or refuses ' +
        'them: start one (MILLRACE_URL and MILLRACE_STORE), and read its log.',
      facts,
    },
  ]
}

/** One that a publisher still has counts only from the end of its patience: its time to be handed lies ahead until then. */
const overdueSql = (t: Tables) =>
  `SELECT count(*) AS count, min(hand_at) AS since FROM ${t.jobs} INDEXED BY "${t.prefix}jobs_hand"
   WHERE hand_at IS NOT NULL AND hand_at <= ? AND state IN ('ready', 'scheduled')`

export function checkSpace({ bavail, blocks, bsize }: StatsFs): Finding {
  const [bytes, share] = [bavail * bsize, blocks === 0 ? 1 : bavail / blocks]
  const facts = { bytes, share: Math.round(share * 1000) / 1000 }
  const message = `${size(bytes)} of the disk are free (${percent(share)}).`
  if (bytes >= LITTLE_SPACE && share >= LITTLE_SHARE) return { code: 'disk-space', level: 'ok', message, facts }
  return {
    code: 'disk-space',
    level: bytes < NO_SPACE ? 'error' : 'warning',
    message: `Only ${message}`,
    advice: 'On a full disk nothing is enqueued and nothing settles. Free some space, or shorten the retention.',
    facts,
  }
}

/** What is known to break locks or wake-ups, or to forget: https://www.sqlite.org/howtocorrupt.html#_filesystems_with_broken_or_missing_lock_implementations. */
const NETWORK = 'Processes on other machines would break the file, and locks may not hold. Move it to a local disk.'
const IN_MEMORY = 'What it holds is gone after a restart of the machine. Move it to a disk.'
const DANGEROUS: ReadonlyMap<number, { readonly name: string; readonly advice: string }> = new Map([
  [0x6969, { name: 'NFS', advice: NETWORK }],
  [0x517b, { name: 'SMB', advice: NETWORK }],
  [0xff534d42, { name: 'CIFS', advice: NETWORK }],
  [0xfe534d42, { name: 'SMB 2', advice: NETWORK }],
  [0x01021997, { name: '9p', advice: NETWORK }],
  [0x01021994, { name: 'tmpfs', advice: IN_MEMORY }],
  [0x858458f6, { name: 'ramfs', advice: IN_MEMORY }],
])

export function checkFileSystem({ type }: StatsFs, path: string): Finding {
  const found = process.platform === 'linux' ? DANGEROUS.get(type) : undefined
  if (!found)
    return { code: 'file-system', level: 'ok', message: `${dirname(path)} is on no file system known to be unsafe.` }
  return {
    code: 'file-system',
    level: 'warning',
    message: `${dirname(path)} is on ${found.name}.`,
    advice: found.advice,
    facts: { fileSystem: found.name },
  }
}

function checkPages(db: Db): Finding {
  const lines = faultsOf(db)
  if (lines.length === 0)
    return { code: 'pages', level: 'ok', message: 'Every page of the file was read, and all are sound.' }
  return {
    code: 'pages',
    level: 'error',
    message: `The file is damaged: ${lines.slice(0, NAMED).join('; ')}`,
    advice:
      'Stop the workers, keep a copy of the file and its -wal, and restore a backup (or try: sqlite3 FILE .recover).',
    facts: { faults: lines.length },
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0 // not there, or not for us to look at
  }
}

function faultsOf(db: Db): readonly string[] {
  try {
    const lines = db.all('PRAGMA quick_check').map((row) => String(Object.values(row)[0]))
    return lines.filter((line) => line !== 'ok')
  } catch (error) {
    if (sqliteCode(error) !== 'CORRUPT') throw error
    return [messageOf(error)] // so much is damaged that it cannot go on
  }
}

function volumeOf(path: string): StatsFs | undefined {
  try {
    return statfsSync(dirname(path))
  } catch {
    return undefined // not told on this system
  }
}

function size(bytes: number): string {
  const [unit, name] = bytes >= GIB ? [GIB, 'GiB'] : bytes >= MIB ? [MIB, 'MiB'] : [KIB, 'KiB']
  return `${Number((bytes / unit).toFixed(1))} ${name}`
}

const percent = (share: number) => `${Math.round(share * 100)} %`
