// The one writer of a process: operations of one turn share a transaction, waiting for the lock never blocks the loop,
// and an operation that fails takes none of its neighbours with it.
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerUnavailableError, ClientClosedError, messageOf } from '../../core/errors.js'
import { createBatcher, type Outcome } from '../../driver/batching.js'
import { sqliteCode, type Db } from './engine.js'

/** Runs inside the transaction, synchronously. Thrown errors roll only this operation back. */
export type Operation<T> = (db: Db) => T

export interface Commits {
  /**
   * Resolves with what the operation gave once it is durable. Rejects when the lock cannot be had within the timeout.
   * @param rows about how many rows it writes
   */
  write<T>(operation: Operation<T>, rows?: number): Promise<T>
  /** Wait for what is under way, then refuse everything. */
  close(): Promise<void>
}

interface Write {
  readonly operation: Operation<unknown>
  readonly rows: number
  readonly since: number
}

/** Rows per transaction; enough to make one fsync cheap, few enough to let other processes and the event loop in. */
const MAX_ROWS = 1_000
const LONGEST_WAIT = 50

export function createCommits(o: { db(): Db; file: string; timeout(): number }): Commits {
  let closed = false
  const batcher = createBatcher<Write, unknown>({ maxBatch: MAX_ROWS, weigh: ({ rows }) => rows, flush })

  async function flush(writes: readonly Write[]): Promise<Outcome<unknown>[]> {
    const outcomes = new Map<Write, Outcome<unknown>>()
    let left = writes
    for (let wait = 1; left.length > 0; wait = Math.min(LONGEST_WAIT, wait * 2)) {
      try {
        const values = atOnce(o.db(), left)
        left.forEach((write, i) => outcomes.set(write, { ok: true, value: values[i] }))
        break
      } catch (error) {
        if (!isBusy(error)) {
          // Somebody's own fault takes no neighbour with it; a fault of the file takes everybody.
          if (left.length > 1) for (const write of left) outcomes.set(write, (await flush([write]))[0]!)
          else outcomes.set(left[0]!, { ok: false, error: translate(error, o.file) })
          break
        }
        left = left.filter((write) => {
          const expired = performance.now() - write.since >= o.timeout()
          if (expired) outcomes.set(write, { ok: false, error: lockedTooLong(o.file, o.timeout(), error) })
          return !expired
        })
      }
      await sleep(wait / 2 + (Math.random() * wait) / 2)
    }
    return writes.map((write) => outcomes.get(write)!)
  }

  return {
    async write<T>(operation: Operation<T>, rows = 1): Promise<T> {
      if (closed) throw new ClientClosedError()
      return (await batcher.add({ operation, rows, since: performance.now() })) as T
    },
    async close() {
      closed = true
      await batcher.idle()
    },
  }
}

// IMMEDIATE: a transaction that reads first and then writes fails at once when another writer came between, and no
// timeout helps (https://www.sqlite.org/rescode.html#busy_snapshot).
function atOnce(db: Db, writes: readonly Write[]): unknown[] {
  db.exec('BEGIN IMMEDIATE')
  try {
    const results = writes.map(({ operation }) => operation(db))
    db.exec('COMMIT')
    return results
  } catch (error) {
    try {
      db.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full.
    }
    throw error
  }
}

export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error)
  return code === 'BUSY' || code === 'LOCKED'
}

/** Our error for one of SQLite's; other errors stay as they are. */
export function translate(error: unknown, file: string): unknown {
  const because = (what: string, outcome: 'not-sent' | 'unknown' = 'not-sent') =>
    new BrokerUnavailableError(`${file}: ${what}`, { outcome, cause: error })
  switch (sqliteCode(error)) {
    case 'FULL':
      return because('the disk is full. Free some space; nothing was written, and work goes on by itself afterwards.')
    case 'READONLY':
      return because('the file or its folder is read-only for this process. Check its owner and permissions.')
    case 'IOERR':
      return because(`the disk reports an error (${messageOf(error)}).`, 'unknown')
    case 'CORRUPT':
    case 'NOTADB':
      return because(
        `this is no SQLite database (${messageOf(error)}). Check the path; if it was one, restore it from a backup.`,
      )
    case 'CANTOPEN':
      return because(`cannot be opened (${messageOf(error)}).`)
    default:
      return error
  }
}

export function lockedTooLong(file: string, ms: number, cause: unknown): BrokerUnavailableError {
  return new BrokerUnavailableError(
    `${file} was locked by another program for ${ms} ms, so nothing was written. Look for a transaction that stays open.`,
    { outcome: 'not-sent', cause },
  )
}
