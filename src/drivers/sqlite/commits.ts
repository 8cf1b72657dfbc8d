// The one writer of a process: operations of one turn share a transaction, waiting for the lock never blocks the loop,
// and an operation that fails takes none of its neighbours with it.
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerUnavailableError, ClientClosedError, hasCode, messageOf } from '../../core/errors.js'
import { createBatcher, type Outcome } from '../../driver/batching.js'
import { sqliteCode, type Db } from './engine.js'

/** Runs inside the transaction, synchronously. Thrown errors roll only this operation back. */
export type Operation<T> = (db: Db) => T

export interface Commits {
  /** Resolves with what the operation gave once it is durable. */
  write<T>(operation: Operation<T>): Promise<T>
  /** Wait for what is under way, then refuse everything. */
  close(): Promise<void>
}

/** Operations per transaction; enough to make one fsync cheap, few enough to let other processes in. */
const MAX_BATCH = 500
const LONGEST_WAIT = 50

export function createCommits(o: { db(): Db; file: string; timeout(): number }): Commits {
  let closed = false
  const batcher = createBatcher<Operation<unknown>, unknown>({ maxBatch: MAX_BATCH, flush })

  async function flush(operations: readonly Operation<unknown>[]): Promise<Outcome<unknown>[]> {
    try {
      return (await transaction(operations)).map((value) => ({ ok: true, value }))
    } catch (error) {
      if (operations.length === 1 || hasCode(error, 'ERR_BROKER_UNAVAILABLE'))
        return operations.map(() => ({ ok: false, error }))
    }
    const outcomes: Outcome<unknown>[] = []
    for (const operation of operations) outcomes.push(...(await flush([operation])))
    return outcomes
  }

  async function transaction(operations: readonly Operation<unknown>[]): Promise<unknown[]> {
    const deadline = performance.now() + o.timeout()
    for (let wait = 1; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
      try {
        return atOnce(o.db(), operations)
      } catch (error) {
        if (!isBusy(error)) throw translate(error, o.file)
        if (performance.now() > deadline) throw lockedTooLong(o.file, o.timeout(), error)
      }
      await sleep(wait / 2 + (Math.random() * wait) / 2)
    }
  }

  return {
    async write<T>(operation: Operation<T>): Promise<T> {
      if (closed) throw new ClientClosedError()
      return (await batcher.add(operation)) as T
    },
    async close() {
      closed = true
      await batcher.idle()
    },
  }
}

// IMMEDIATE: a transaction that reads first and then writes fails at once when another writer came between, and no
// timeout helps (https://www.sqlite.org/rescode.html#busy_snapshot).
function atOnce(db: Db, operations: readonly Operation<unknown>[]): unknown[] {
  db.exec('BEGIN IMMEDIATE')
  try {
    const results = operations.map((operation) => operation(db))
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
      return because(`this is no sound SQLite database (${messageOf(error)}). Restore it from a backup.`)
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
