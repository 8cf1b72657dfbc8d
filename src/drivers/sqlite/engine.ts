// One small face over the two SQLite libraries, and the rule that a process opens a file through one of them only.
import { createRequire } from 'node:module'
import { realpathSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ConfigurationError, messageOf } from '../../core/errors.js'

/** A value SQLite takes or gives. */
export type SqlValue = string | number | bigint | null
export type Row = Record<string, SqlValue>

/** The part of a statement that both libraries share. */
interface RawStatement {
  run(...values: SqlValue[]): { changes: number | bigint }
  get(...values: SqlValue[]): unknown
  all(...values: SqlValue[]): unknown[]
  /** better-sqlite3: rows come as arrays. */
  raw?(on: boolean): unknown
  /** node:sqlite, from Node 22.16 on: the same. */
  setReturnArrays?(on: boolean): unknown
}

/** An open database of better-sqlite3 or node:sqlite: what `{ tx }` takes. */
export interface SqliteHandle {
  prepare(sql: string): RawStatement
  exec(sql: string): unknown
  close(): unknown
}

/** `Database` of better-sqlite3 or `DatabaseSync` of node:sqlite. */
export type SqliteConstructor = new (file: string, ...rest: any[]) => SqliteHandle

/** A connection with its statements prepared once. */
export interface Db {
  /** How many rows changed. */
  run(sql: string, ...values: SqlValue[]): number
  /** The statement itself, for what is run very often. */
  prepare(sql: string): Pick<RawStatement, 'run'>
  get(sql: string, ...values: SqlValue[]): Row | undefined
  all(sql: string, ...values: SqlValue[]): Row[]
  /** Rows as arrays, in the order of the columns: cheaper where there are many. */
  rows(sql: string, ...values: SqlValue[]): SqlValue[][]
  exec(sql: string): void
  close(): void
}

/** `Db` over an open handle of either library. Statements live as long as the handle. */
export function dbOf(handle: SqliteHandle): Db {
  const statements = new Map<string, RawStatement>()
  const prepared = (sql: string) => {
    let statement = statements.get(sql)
    if (!statement) statements.set(sql, (statement = handle.prepare(sql)))
    return statement
  }
  const asArrays = new Map<string, (...values: SqlValue[]) => SqlValue[][]>()
  const prepareArrays = (sql: string) => {
    const statement = handle.prepare(sql)
    statement.raw?.(true)
    statement.setReturnArrays?.(true)
    return statement.raw !== undefined || statement.setReturnArrays !== undefined
      ? (...values: SqlValue[]) => statement.all(...values) as SqlValue[][]
      : (...values: SqlValue[]) => (statement.all(...values) as Row[]).map((row) => Object.values(row))
  }
  return {
    rows(sql, ...values) {
      let query = asArrays.get(sql)
      if (!query) asArrays.set(sql, (query = prepareArrays(sql)))
      return query(...values)
    },
    prepare: prepared,
    run: (sql, ...values) => Number(prepared(sql).run(...values).changes),
    get: (sql, ...values) => prepared(sql).get(...values) as Row | undefined,
    all: (sql, ...values) => prepared(sql).all(...values) as Row[],
    exec: (sql) => void handle.exec(sql),
    close: () => void handle.close(),
  }
}

/** The library this process uses for SQLite unless told otherwise. */
export function defaultEngine(): SqliteConstructor {
  return nodeSqlite() ?? betterSqlite()
}

/** The library that Node brings along, where it has the API in use here. */
export function nodeSqlite(): SqliteConstructor | undefined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 22 || (major === 22 && minor < 13)) return undefined
  const emitWarning = process.emitWarning
  // Node 22 calls it experimental on every start; the API in use here is the one that became stable.
  process.emitWarning = () => {}
  try {
    const module = process.getBuiltinModule('node:sqlite' as 'node:fs') as unknown as {
      DatabaseSync: SqliteConstructor
    }
    return module?.DatabaseSync
  } finally {
    process.emitWarning = emitWarning
  }
}

// A bundle in CommonJS has no import.meta.url, but it has a __filename.
const here = () => (typeof __filename === 'string' ? __filename : import.meta.url)

function betterSqlite(): SqliteConstructor {
  const require = createRequire(here())
  const hint =
    'On Node before 22.13 the sqlite driver needs better-sqlite3. Run: npm i better-sqlite3@^12.9.0 (or use Node 22.13 or later).'
  let version: string
  try {
    version = (require('better-sqlite3/package.json') as { version: string }).version
  } catch (cause) {
    throw new ConfigurationError(hint, { cause })
  }
  // 13 ends the process with a segmentation fault on Node 20 (https://github.com/WiseLibs/better-sqlite3/issues/1514).
  if (Number(version.split('.')[0]) >= 13 && Number(process.versions.node.split('.')[0]) < 22)
    throw new ConfigurationError(`better-sqlite3 ${version} needs Node 22. Run: npm i better-sqlite3@^12.9.0.`)
  try {
    return require('better-sqlite3') as SqliteConstructor
  } catch (cause) {
    throw new ConfigurationError(`better-sqlite3 ${version} does not load: ${messageOf(cause)}. ${hint}`, { cause })
  }
}

/**
 * How a thread can load the very same library: `node:sqlite`, or the path of the file that exports the class. `undefined`
 * when that cannot be told: the class is a subclass, or was bundled.
 */
export function libraryOf(engine: SqliteConstructor): string | undefined {
  if (engine === nodeSqlite()) return 'node:sqlite'
  const loaded = createRequire(here()).cache
  return Object.keys(loaded).find((path) => loaded[path]?.exports === engine)
}

// Two libraries in one process do not see each other's locks (POSIX locks belong to the process), and the file breaks:
// https://www.sqlite.org/howtocorrupt.html#multiple_copies_of_sqlite_linked_into_the_same_application.
// The record is global so that two copies of this package share it.
const OPENED = Symbol.for('millrace/sqlite/opened@1')
type Opened = Map<string, SqliteConstructor>

/** @throws ConfigurationError when this process has the file open through another library or copy. */
export function claimFile(path: string, engine: SqliteConstructor): void {
  const global = globalThis as { [OPENED]?: Opened }
  const opened = (global[OPENED] ??= new Map())
  const other = opened.get(path)
  if (other !== undefined && other !== engine)
    throw new ConfigurationError(
      `${path} is already open in this process through another SQLite library (${other.name}). Two libraries on one file break it: give every sqlite() driver the same \`engine\`.`,
    )
  opened.set(path, engine)
}

/** One spelling of a file's path, also for a file that is not there yet. */
export function canonicalPath(file: string): string {
  const path = resolve(file)
  try {
    return realpathSync(path)
  } catch {
    try {
      return resolve(realpathSync(dirname(path)), path.slice(dirname(path).length + 1))
    } catch {
      return path
    }
  }
}

/** Whether two paths are one file. */
export function isSameFile(a: string, b: string): boolean {
  try {
    const [x, y] = [statSync(a), statSync(b)]
    return x.ino === y.ino && x.dev === y.dev
  } catch {
    return false
  }
}

/** SQLite's primary result code as a word, whichever library threw: BUSY, FULL, READONLY, CORRUPT, NOTADB, … */
export function sqliteCode(error: unknown): string | undefined {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown }
  if (typeof code === 'string' && code.startsWith('SQLITE_')) return code.split('_')[1]
  return typeof errcode === 'number' ? CODES[errcode & 0xff] : undefined
}

// https://www.sqlite.org/rescode.html
const CODES: Readonly<Record<number, string>> = {
  5: 'BUSY',
  6: 'LOCKED',
  8: 'READONLY',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  19: 'CONSTRAINT',
  26: 'NOTADB',
}
