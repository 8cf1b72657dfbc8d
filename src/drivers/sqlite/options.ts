// Options of the sqlite driver, from code or from a URL such as sqlite:./jobs.db.
import { toMs, type Duration } from '../../core/duration.js'
import { ConfigurationError, shown } from '../../core/errors.js'
import { refuseUnknown } from '../../core/task.js'
import { HANDING_PATIENCE } from '../../driver/ledger.js'
import type { SqliteConstructor } from './engine.js'

export interface SqliteOptions {
  /** Path of the database file; made when it is not there. Its folder must exist, on a local disk. */
  file: string
  /**
   * The SQLite library to use: the class `Database` of better-sqlite3, or `DatabaseSync` of node:sqlite. Give the one your
   * own code opens the same file with. Default: node:sqlite from Node 22.13 on, better-sqlite3 before.
   */
  engine?: SqliteConstructor
  /** How long a worker may be silent before its jobs go to others; default 15 s. */
  lease?: Duration
  /** How often a worker looks for jobs when nothing tells it to; default 1 s. */
  pollEvery?: Duration
  /** After how many crashes of the process that ran it a job is dead, reason `crashed`; default 3. */
  maxCrashes?: number
  /** `false`: the file must be there already. Default `true`. */
  create?: boolean
  /**
   * `full` (default): what was enqueued or settled survives a power cut. `normal`: it survives the death of the process,
   * and a power cut may take the last moments; small writes are faster. Processes on one file may differ.
   */
  durability?: Durability
  /**
   * `false`: the connection lives on the main thread. Default `true`: in a thread of its own, where it blocks nobody, and
   * where it keeps the lease of a job whose handler blocks the event loop. Without effect when the `engine` cannot be
   * loaded in a thread.
   */
  thread?: boolean
  /**
   * For how long a job that was given to somebody to be handed to a broker is left alone.
   * @internal
   */
  handingPatience?: number
}

export type Durability = 'full' | 'normal'

/** Options with their defaults; times in milliseconds. */
export interface SqliteSettings {
  readonly file: string
  readonly engine: SqliteConstructor | undefined
  readonly lease: number
  readonly pollEvery: number
  readonly maxCrashes: number
  readonly create: boolean
  readonly durability: Durability
  readonly thread: boolean
  readonly handingPatience: number
}

/** A wake-up that was lost must not cost more. */
const LONGEST_POLL = 60_000
const KNOWN = ['file', 'engine', 'lease', 'pollEvery', 'maxCrashes', 'create', 'durability', 'thread']

/** @throws ConfigurationError that names the option and its value. */
export function settingsOf(options: SqliteOptions): SqliteSettings {
  refuseUnknown('sqlite()', options, [...KNOWN, 'handingPatience'])
  if (typeof options.file !== 'string' || options.file === '')
    throw new ConfigurationError(
      'sqlite(): `file` is missing. Give the path of the database file: sqlite({ file: "jobs.db" }).',
    )
  if (options.file === ':memory:')
    throw new ConfigurationError(
      'SQLite in memory would lose every job. Use the URL "memory:" for tests, or give a file.',
    )
  const lease = toMs(options.lease ?? '15s', 'lease')
  if (lease < 200)
    throw new ConfigurationError(`lease: ${lease} ms is too short for a worker to keep; give 200 ms or more.`)
  const maxCrashes = options.maxCrashes ?? 3
  if (!Number.isInteger(maxCrashes) || maxCrashes < 1)
    throw new ConfigurationError(`maxCrashes: ${maxCrashes} is no whole number of 1 or more.`)
  const durability = options.durability ?? 'full'
  if (durability !== 'full' && durability !== 'normal')
    throw new ConfigurationError(`durability: ${shown(durability)} is neither "full" nor "normal".`)
  return {
    file: options.file,
    engine: options.engine,
    lease,
    pollEvery: Math.min(LONGEST_POLL, Math.max(1, toMs(options.pollEvery ?? '1s', 'pollEvery'))),
    maxCrashes,
    create: options.create ?? true,
    durability,
    thread: options.thread ?? true,
    handingPatience: options.handingPatience ?? HANDING_PATIENCE,
  }
}

/**
 * Options of a URL: `sqlite:jobs.db`, `sqlite:./jobs.db`, `sqlite:/var/lib/app/jobs.db`, with `?lease=15s`,
 * `&pollEvery=1s`, `&maxCrashes=3`, `&create=false`, `&durability=normal`, `&thread=false`.
 */
export function optionsFromUrl(url: string): SqliteOptions {
  const [path = '', query = ''] = url.slice('sqlite:'.length).split('?', 2)
  const file = decodeURIComponent(path.replace(/^\/\/(?=\/)/, ''))
  if (file === '' || file.startsWith('//'))
    throw new ConfigurationError(
      `"${url}" names no file. Write sqlite:jobs.db, sqlite:./jobs.db or sqlite:/path/to/jobs.db.`,
    )
  const options: Record<string, unknown> = { file }
  for (const [key, value] of new URLSearchParams(query)) {
    if (key === 'file' || key === 'engine' || !KNOWN.includes(key))
      throw new ConfigurationError(
        `"${url}": there is no setting "${key}". The settings are: ${KNOWN.slice(2).join(', ')}.`,
      )
    const isSwitch = key === 'create' || key === 'thread'
    if (isSwitch && value !== 'true' && value !== 'false')
      throw new ConfigurationError(`"${url}": ${key} is true or false, not "${value}".`)
    options[key] = key === 'maxCrashes' ? Number(value) : isSwitch ? value === 'true' : value
  }
  return options as unknown as SqliteOptions
}
