// The one writer of a driver: operations of one turn share a transaction, work is taken in it, waiting for the lock blocks
// nobody, and an operation that fails takes none of its neighbours with it.
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerUnavailableError, ClientClosedError, messageOf } from '../../core/errors.js'
import { createBatcher, type Outcome } from '../../driver/batching.js'
import { sqliteCode, type Db } from './engine.js'

/** Runs inside the transaction, synchronously. Thrown errors roll only this operation back. */
export type Operation<T> = (db: Db) => T

/**
 * `now`: before the write resolves. `soon`: with the next `now` or `beat`; so is what the companion does. `beat`: for its own
 * sake it need not be, but it takes along what was to be soon.
 */
export type Durable = 'now' | 'soon' | 'beat'

export interface Commits {
  /**
   * Resolves with what the operation gave once it is durable. Rejects when the lock cannot be had within the timeout.
   * @param rows about how many rows it writes
   * @param durable when it is to survive a power cut, too; the death of the process it survives at once. The default is `now`.
   */
  write<T>(operation: Operation<T>, rows?: number, durable?: Durable): Promise<T>
  /** A transaction runs right now, whose companion is still to come. */
  readonly inside: boolean
  lockWaits(): LockWaits
  /** Wait for what is under way, then refuse everything. */
  close(): Promise<void>
}

/** How often the lock of another process was waited for in the last minute, and how long at most, in milliseconds. */
export interface LockWaits {
  readonly count: number
  readonly longest: number
}

/** What else happens in every transaction, after its operations. */
export interface Companion<C> {
  readonly wanted: boolean
  run(db: Db): C
  committed(value: C): void
  undone(value: C): void
}

interface Write {
  readonly operation: Operation<unknown>
  readonly rows: number
  readonly durable: Durable
  readonly since: number
}

/** Rows per transaction; enough to make one fsync cheap, few enough to let other processes in. */
const MAX_ROWS = 1_000
/** How long a lock that others hold is asked for again and again, before it is asked for less often. */
const EAGER = 100
const LONGEST_PAUSE = 50
/** For so long after a lock had to be waited for, others are let in before every transaction. */
const COURTESY = 1_000
const MINUTE = 60

export function createCommits<C>(o: {
  db(): Db
  readonly file: string
  timeout(): number
  /** What is to be durable waits for the disk: the connection has `synchronous=FULL`. */
  readonly full: boolean
  readonly companion?: Companion<C>
}): Commits {
  let closed = false
  let inside = false
  let contendedAt = -Infinity
  /** Something is not on the disk yet that is to be there soon. */
  let behind = false
  /** The companion did something in the last transaction. */
  let took = false
  /** By the second in which they ended. */
  const waits = new Map<number, LockWaits>()
  const batcher = createBatcher<Write, unknown>({ maxBatch: MAX_ROWS, weigh: ({ rows }) => rows, flush })

  async function flush(writes: readonly Write[]): Promise<Outcome<unknown>[]> {
    const outcomes = new Map<Write, Outcome<unknown>>()
    // Who has just had the lock would be the first to get it again: the others only look for it now and then.
    if (performance.now() - contendedAt < COURTESY) await sleep(1 + Math.random() * 2)
    await settleAll(writes, outcomes, true)
    return writes.map((write) => outcomes.get(write)!)
  }

  async function settleAll(writes: readonly Write[], outcomes: Map<Write, Outcome<unknown>>, companion: boolean) {
    let left = writes
    const since = performance.now()
    for (let tries = 0; left.length > 0; tries++) {
      try {
        const values = atOnce(left, companion)
        left.forEach((write, i) => outcomes.set(write, { ok: true, value: values[i] }))
        if (tries > 0) waited(performance.now() - since)
        return
      } catch (error) {
        if (!isBusy(error)) {
          // Somebody's own fault takes no neighbour with it; a fault of the file takes everybody.
          if (left.length > 1) {
            for (const write of left) await settleAll([write], outcomes, false)
            companionAlone()
          } else outcomes.set(left[0]!, { ok: false, error: translate(error, o.file) })
          return
        }
        left = left.filter((write) => {
          const expired = performance.now() - write.since >= o.timeout()
          if (expired) outcomes.set(write, { ok: false, error: lockedTooLong(o.file, o.timeout(), error) })
          return !expired
        })
      }
      const waiting = performance.now() - since
      await sleep(waiting < EAGER ? 1 : Math.min(LONGEST_PAUSE, waiting / 20) * (0.5 + Math.random()))
    }
    waited(performance.now() - since)
  }

  /** What it was to do in a transaction that failed. */
  function companionAlone(): void {
    try {
      if (o.companion?.wanted) atOnce([], true)
    } catch {
      // it is asked for again
    }
  }

  function waited(ms: number): void {
    contendedAt = performance.now()
    const second = Math.floor(contendedAt / 1000)
    const { count, longest } = waits.get(second) ?? { count: 0, longest: 0 }
    waits.set(second, { count: count + 1, longest: Math.max(longest, ms) })
    for (const old of waits.keys()) if (old < second - MINUTE) waits.delete(old)
  }

  /** The log is written in order, so the next transaction that is synced takes one that is not along. */
  function atOnce(writes: readonly Write[], withCompanion: boolean): unknown[] {
    const synced = writes.some(({ durable }) => durable === 'now' || (durable === 'beat' && behind))
    const results = !o.full || synced ? transaction(writes, withCompanion) : unsynced(writes, withCompanion)
    behind = !synced && (behind || took || writes.some(({ durable }) => durable === 'soon'))
    return results
  }

  function unsynced(writes: readonly Write[], withCompanion: boolean): unknown[] {
    o.db().exec('PRAGMA synchronous = NORMAL') // between transactions: inside of one it is refused
    try {
      return transaction(writes, withCompanion)
    } finally {
      o.db().exec('PRAGMA synchronous = FULL')
    }
  }

  // IMMEDIATE: a transaction that reads first and then writes fails at once when another writer came between, and no
  // timeout helps (https://www.sqlite.org/rescode.html#busy_snapshot).
  function transaction(writes: readonly Write[], withCompanion: boolean): unknown[] {
    const db = o.db()
    const companion = withCompanion ? o.companion : undefined
    let taken: C | undefined
    db.exec('BEGIN IMMEDIATE')
    inside = companion !== undefined
    try {
      const results = writes.map(({ operation }) => operation(db))
      // Only now: an operation may have brought what is wanted.
      if (companion?.wanted) taken = companion.run(db)
      db.exec('COMMIT')
      inside = false
      took = taken !== undefined
      if (taken !== undefined) companion?.committed(taken)
      return results
    } catch (error) {
      inside = false
      if (taken !== undefined) companion?.undone(taken)
      try {
        db.exec('ROLLBACK')
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
      throw error
    }
  }

  return {
    async write<T>(operation: Operation<T>, rows = 1, durable: Durable = 'now'): Promise<T> {
      if (closed) throw new ClientClosedError()
      return (await batcher.add({ operation, rows, durable, since: performance.now() })) as T
    },
    get inside() {
      return inside
    },
    lockWaits() {
      const from = performance.now() / 1000 - MINUTE
      const recent = [...waits].filter(([second]) => second >= from).map(([, one]) => one)
      return {
        count: recent.reduce((sum, { count }) => sum + count, 0),
        longest: Math.round(Math.max(0, ...recent.map(({ longest }) => longest))),
      }
    },
    async close() {
      closed = true
      await batcher.idle()
    },
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
