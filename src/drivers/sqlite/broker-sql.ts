// The broker's operations on the database: queues, settling, and finding work.
import { ConfigurationError, type DeadReason, type JobError } from '../../core/errors.js'
import type { Note, QueueStats, ReleaseReason } from '../../driver/driver.js'
import type { Db, Row, SqlValue } from './engine.js'
import type { Tables } from './migrations.js'
import type { Hooks, OperationSettings } from './hooks.js'
import type { Keep } from './logs.js'
import type { Packed } from './packing.js'
import type { Publish } from './publish.js'
import type { Run, Settle } from './settle.js'

/** Rows that become ready in one claim at most, so that a flood of due jobs stalls nobody. */
const MAX_DUE = 500
export const PURGE_BATCH = 1000

export function brokerReads(t: Tables) {
  const stats = statsSql(t)
  const queues = `SELECT name FROM ${t.queues} ORDER BY name`
  const queue = `SELECT 1 FROM ${t.queues} WHERE name = ?`
  return {
    queues: (db: Db) => db.all(queues).map((row) => String(row['name'])),
    isDeclared: (db: Db, name: string) => db.get(queue, name) !== undefined,
    stats: (db: Db, name: string) => statsOf(db.get(stats, name, Date.now())!, Date.now()),
  }
}

/** A run to be settled, with what its handler said and nobody wrote yet. */
export interface Ending extends Run {
  readonly said?: Note | undefined
}

export function brokerWrites(
  t: Tables,
  o: {
    readonly settle: Settle
    readonly publish: Publish
    readonly keep: Keep
    readonly settings: OperationSettings
    readonly hooks: Hooks
  },
) {
  const { publish, keep, hooks } = o
  const declare = `INSERT INTO ${t.queues} (name, declared_at) VALUES (?, ?) ON CONFLICT DO NOTHING`
  const inHands = `SELECT 1 FROM ${t.jobs} WHERE state = 'active' AND queue = ?`
  const removeQueue = `DELETE FROM ${t.queues} WHERE name = ?`
  // One for each partial index: a condition that fits none of them would read every job.
  const purges = [`state = 'ready' AND suspect = 0`, `state = 'ready' AND suspect = 1`, `state = 'scheduled'`].map(
    (waiting) =>
      `DELETE FROM ${t.jobs} WHERE seq IN (SELECT seq FROM ${t.jobs} WHERE queue = ? AND ${waiting} LIMIT ${PURGE_BATCH})`,
  )
  const ended = (owned: boolean) => {
    if (owned) hooks.done()
    return owned
  }
  /** What was said is written first: afterwards the run owns the job no more. */
  const heard = (db: Db, one: Ending): Settle => {
    if (one.said) keep(db, one, one.said)
    return o.settle
  }
  return {
    /** Settle what was done; positions of those that the run had lost. `ACK` values each. */
    acks(db: Db, acks: readonly SqlValue[]): number[] {
      const lost = o.settle.acks(db, acks, Date.now())
      hooks.done()
      return lost
    },
    /** The same for one, with the jobs that it brings forth. */
    ack(db: Db, one: Ending & { result: string | null; publish: Packed }): boolean {
      const owned = heard(db, one).ack(db, one, one.result, Date.now())
      if (owned && one.publish.length > 0) publish(db, one.publish)
      return ended(owned)
    },
    retry(db: Db, one: Ending & { delay: number; error: JobError }) {
      const owned = heard(db, one).retry(db, one, { delay: one.delay, error: one.error, now: Date.now() })
      // Lanes look for it by themselves; who hands jobs to another broker is to ask when.
      if (o.settings.ledger) hooks.ready()
      return ended(owned)
    },
    dead: (db: Db, one: Ending & { reason: DeadReason; error: JobError }) =>
      ended(heard(db, one).dead(db, one, { reason: one.reason, error: one.error, now: Date.now() })),
    release(db: Db, one: Ending & { delay: number; why: ReleaseReason }) {
      const owned = heard(db, one).release(db, one, { delay: one.delay, why: one.why, now: Date.now() })
      hooks.ready()
      return ended(owned)
    },
    start: (db: Db, one: Run) => o.settle.start(db, one),
    notes(db: Db, notes: readonly (Run & Note)[]) {
      for (const { seq, id, run, ...said } of notes) keep(db, { seq, id, run }, said)
    },
    declare: (db: Db, name: string) => void db.run(declare, name, Date.now()),
    /** Part `part` of what waits; how many were removed. */
    purge: (db: Db, part: { queue: string; part: number }) => db.run(purges[part.part]!, part.queue),
    removeQueue(db: Db, queue: string) {
      if (db.get(inHands, queue))
        throw new ConfigurationError(`Queue "${queue}" has jobs in workers' hands. Stop its workers, then remove it.`)
      db.run(removeQueue, queue)
    },
  }
}

/** Parts of what waits in a queue, for `purge`. */
export const PURGE_PARTS = 3

/** Values of a claimed row, in the order of `take`, and one place for the slot that it is handed over in. */
export const ROW = 13

/** How work is found and taken; used by lanes only. */
export interface Claims {
  /** Whether something is ready, whether a suspect is, and when the next scheduled job is due. */
  look(db: Db, queue: string): { ready: boolean; suspect: boolean; due: number }
  /**
   * Take up to `n` jobs, and one of them a suspect if that is allowed. Sorted; `ROW` values each. `many`: there are likely
   * to be many.
   */
  take(
    db: Db,
    o: { worker: string; queue: string; n: number; suspects: boolean; many: boolean },
  ): {
    readonly values: SqlValue[]
    readonly suspect: boolean
    /** When the next scheduled job is due. */
    readonly due: number
  }
}

/** So many are taken one by one: a statement for many makes a table of its own first, which costs more than a few do. */
const FEW = 8

export function createClaims(t: Tables): Claims {
  const look = `
    WITH q(queue) AS (VALUES (?))
    SELECT EXISTS (SELECT 1 FROM ${t.jobs} WHERE state = 'ready' AND suspect = 0 AND queue = (SELECT queue FROM q)) AS ready,
      EXISTS (SELECT 1 FROM ${t.jobs} WHERE state = 'ready' AND suspect = 1 AND queue = (SELECT queue FROM q)) AS suspect,
      (SELECT min(due_at) FROM ${t.jobs} WHERE state = 'scheduled' AND queue = (SELECT queue FROM q)) AS due`
  const promote = `
    UPDATE ${t.jobs} SET state = 'ready' WHERE seq IN (
      SELECT seq FROM ${t.jobs} WHERE state = 'scheduled' AND queue = ? AND due_at <= ? ORDER BY due_at LIMIT ${MAX_DUE})`
  // What most jobs do not have travels as one value, so that a claim stays cheap.
  const rare = `
    CASE WHEN suspect = 0 AND blocked IS NULL AND expires_at IS NULL AND unique_key IS NULL AND job_group IS NULL
      AND headers = '{}' AND crashes = 0 THEN NULL
    ELSE json_object('suspect', suspect, 'crashes', crashes, 'blocked', blocked, 'blocked_since', blocked_since,
      'expires_at', expires_at, 'unique_key', unique_key, 'unique_until', unique_until,
      'unique_until_at', unique_until_at, 'job_group', job_group, 'headers', headers) END`
  const columns = (run: string) =>
    `seq, id, name, body, priority, due_at, enqueued_at, ${run}, attempts, keep_completed, keep_dead, ${rare} AS rare`
  const find = (what: string, ready: string) =>
    `SELECT ${what} FROM ${t.jobs} WHERE queue = ? AND state = 'ready' AND ${ready} LIMIT ?`
  const [inOrder, suspectInOrder] = [
    'suspect = 0 ORDER BY priority DESC, due_at, seq',
    'suspect = 1 ORDER BY due_at, seq',
  ]
  const taken = `UPDATE ${t.jobs} SET state = 'active', run = run + 1, worker = ?, started_at = ?`
  const takeMany = `${taken} WHERE seq IN (${find('seq', inOrder)}) RETURNING ${columns('run')}`
  const findFew = find(columns('run + 1'), inOrder)
  const findSuspect = find(columns('run + 1'), suspectInOrder)
  const takeOne = `${taken} WHERE seq = ?`
  const freeKey = `UPDATE ${t.jobs} SET holds_key = 0 WHERE seq = ? AND unique_until = 'started'`
  const present = `SELECT 1 FROM ${t.workers} WHERE id = ?`

  function takeEach(db: Db, rows: SqlValue[][], worker: string, now: number): SqlValue[][] {
    for (const row of rows) db.run(takeOne, worker, now, row[SEQ]!)
    return rows
  }

  function takeReady(db: Db, queue: string, n: number, worker: string, now: number, many: boolean): SqlValue[][] {
    const few = many ? undefined : db.rows(findFew, queue, Math.min(n, FEW + 1))
    if (few && few.length <= FEW) return takeEach(db, few, worker, now)
    return db.rows(takeMany, worker, now, queue, n).sort(byOrder)
  }

  return {
    look(db, queue) {
      const found = db.get(look, queue)!
      return {
        ready: found['ready'] === 1,
        suspect: found['suspect'] === 1,
        due: found['due'] === null ? Infinity : Number(found['due']),
      }
    },
    take(db, { worker, queue, n, suspects, many }) {
      // Without a beat nobody would notice the worker's death, and the jobs would be stranded.
      if (!db.get(present, worker)) return { values: [], suspect: false, due: Infinity }
      const now = Date.now()
      let found = this.look(db, queue)
      if (found.due <= now) {
        db.run(promote, queue, now)
        found = this.look(db, queue)
      }
      const rows = suspects && found.suspect ? takeEach(db, db.rows(findSuspect, queue, 1), worker, now) : []
      const suspect = rows.length > 0
      const left = n - rows.length
      if (left > 0 && found.ready) rows.push(...takeReady(db, queue, left, worker, now, many))
      // Grown, not made at its size: V8 copies an array that ever had holes element by element.
      const values: SqlValue[] = []
      for (const row of rows) {
        for (let i = 0; i < ROW - 1; i++) values.push(row[i]!)
        values.push(null)
        // Set apart from the claim, which would have to look at one index more for every job.
        if (row[RARE] !== null) db.run(freeKey, row[SEQ]!)
      }
      return { values, suspect, due: found.due }
    },
  }
}

/** Places in a claimed row. */
const [SEQ, PRIORITY, DUE, RARE] = [0, 4, 5, 11]
const byOrder = (a: readonly SqlValue[], b: readonly SqlValue[]) =>
  Number(b[PRIORITY]) - Number(a[PRIORITY]) || Number(a[DUE]) - Number(b[DUE]) || Number(a[SEQ]) - Number(b[SEQ])

function statsSql(t: Tables): string {
  const here = `queue = (SELECT queue FROM p)`
  const due = `state = 'scheduled' AND due_at <= (SELECT now FROM p)`
  const later = `state = 'scheduled' AND due_at > (SELECT now FROM p)`
  const count = (where: string) => `(SELECT count(*) FROM ${t.jobs} WHERE ${here} AND ${where})`
  const oldest = (where: string) => `SELECT min(due_at) AS due_at FROM ${t.jobs} WHERE ${here} AND ${where}`
  // Each condition repeats that of a partial index, so that finished jobs are never read.
  const ready = [`state = 'ready' AND suspect = 0`, `state = 'ready' AND suspect = 1`, due]
  return `WITH p(queue, now) AS (VALUES (?, ?)) SELECT
    ${ready.map(count).join(' + ')} AS ready,
    ${count(`${later} AND attempts = 0`)} AS scheduled,
    ${count(`${later} AND attempts > 0`)} AS retrying,
    ${count(`state = 'active'`)} AS active,
    ${count(`state = 'dead'`)} AS dead,
    (SELECT min(due_at) FROM (${ready.map(oldest).join(' UNION ALL ')})) AS oldest`
}

function statsOf(row: Row, now: number): QueueStats {
  const oldest = row['oldest'] ?? null
  return {
    ready: Number(row['ready']),
    scheduled: Number(row['scheduled']),
    retrying: Number(row['retrying']),
    active: Number(row['active']),
    dead: Number(row['dead']),
    ...(oldest !== null && { oldestMs: Math.max(0, now - Number(oldest)) }),
  }
}
