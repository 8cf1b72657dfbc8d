// The moves of jobs that are in a worker's hands. Each is one statement, fenced by (job, run): a stale run changes nothing.
import type { DeadReason, JobError } from '../../core/errors.js'
import { BLOCKED_FORGOTTEN, type ReleaseReason } from '../../driver/driver.js'
import type { Db, SqlValue } from './engine.js'
import type { OperationSettings } from './hooks.js'
import { handAnew } from './ledger-schema.js'
import type { Tables } from './migrations.js'

/** One hand-over of a job. */
export interface Run {
  readonly seq: number
  readonly id: string
  readonly run: number
}

/** Values of one ack among many: seq, id, run, result. */
export const ACK = 4

/** Every verb answers whether the run still owned the job. */
export interface Settle {
  start(db: Db, r: Run): boolean
  note(db: Db, r: Run, o: { progress?: number; note?: string }): boolean
  ack(db: Db, r: Run, result: string | null, now: number): boolean
  /** Many of them; positions of those that the run had lost. `ACK` values each. */
  acks(db: Db, acks: readonly SqlValue[], now: number): number[]
  retry(db: Db, r: Run, o: { delay: number; error: JobError; now: number }): boolean
  dead(db: Db, r: Run, o: { reason: DeadReason; error: JobError; now: number }): boolean
  release(db: Db, r: Run, o: { delay: number; why: ReleaseReason; now: number }): boolean
  /** Take every job from a worker that is gone. `crashed` counts against those whose start was written. */
  takeBack(db: Db, worker: string, o: { crashed: boolean; now: number }): void
}

/** Reasons of death that a handler's run leads to; the others spend no attempt. */
export const SPENT: readonly DeadReason[] = ['failed', 'invalid-output']

/** @param onBuried hears of jobs that are dead because their process died with them too often */
export function createSettle(
  t: Tables,
  { maxCrashes }: Pick<OperationSettings, 'maxCrashes'>,
  onBuried: (message: string, id: string) => void = () => {},
): Settle {
  // Found by the row, told apart by the id: SQLite may give the number of a deleted row to another job.
  const mine = `seq = ? AND id = ? AND run = ? AND state = 'active'`
  const letGo = `worker = NULL, start_written = 0, progress = NULL, note = NULL`
  // A key that was free from the start of the job on is held again when the job has not run after all, unless it is taken.
  const keyAgain = `(holds_key OR (unique_until IS 'started' AND NOT EXISTS (
    SELECT 1 FROM ${t.jobs} AS other WHERE other.name = ${t.jobs}.name AND other.unique_key = ${t.jobs}.unique_key AND other.holds_key = 1)))`
  const appended = `json_insert(CASE WHEN json_array_length(errors) >= 5 THEN json_remove(errors, '$[0]') ELSE errors END, '$[#]', json(?))`

  // A job that was cancelled while it ran ends cancelled, whatever its handler made of it.
  const cancel = `
    UPDATE ${t.jobs} SET state = 'cancelled', finished_at = ?, prune_at = ? + keep_completed, holds_key = 0, cancelling = 0,
      suspect = 0, blocked = NULL, ${letGo}
    WHERE ${mine} AND cancelling = 1`
  const ack = `
    UPDATE ${t.jobs} SET state = 'completed', attempts = attempts + 1, result = ?, finished_at = ?,
      prune_at = max(? + keep_completed, coalesce(unique_until_at, 0)),
      holds_key = holds_key AND coalesce(unique_until_at, 0) > ?,
      worker = NULL, start_written = 0, suspect = 0, blocked = NULL
    WHERE ${mine} AND cancelling = 0`
  // The same for what almost every job is: the fewer columns change, the fewer indexes are looked at.
  const ackPlain = `
    UPDATE ${t.jobs} SET state = 'completed', attempts = attempts + 1, result = ?, finished_at = ?,
      prune_at = ? + keep_completed, worker = NULL
    WHERE ${mine} AND cancelling = 0 AND unique_key IS NULL AND suspect = 0 AND blocked IS NULL AND start_written = 0`
  const retry = `
    UPDATE ${t.jobs} SET state = 'scheduled', due_at = ?, ${handAnew(t, '?')}, attempts = attempts + 1, errors = ${appended}, suspect = 0,
      blocked = NULL, ${letGo}
    WHERE ${mine}`
  const dead = `
    UPDATE ${t.jobs} SET state = 'dead', reason = ?, attempts = attempts + ?, errors = ${appended}, finished_at = ?,
      prune_at = ? + keep_dead, holds_key = 0, blocked = NULL, worker = NULL, start_written = 0
    WHERE ${mine}`
  const release = `
    UPDATE ${t.jobs} SET state = ?, due_at = coalesce(?, due_at), ${handAnew(t, 'coalesce(?, due_at)')},
      suspect = CASE WHEN ? = 'later' THEN 0 ELSE suspect END,
      blocked_since = CASE WHEN ? IN ('stop', blocked) AND due_at > ? THEN blocked_since ELSE ? END,
      holds_key = CASE WHEN ? = 'later' THEN holds_key ELSE ${keyAgain} END,
      blocked = coalesce(?, blocked), ${letGo}
    WHERE ${mine}`
  const start = `UPDATE ${t.jobs} SET start_written = 1 WHERE ${mine}`
  const note = `UPDATE ${t.jobs} SET progress = coalesce(?, progress), note = coalesce(?, note) WHERE ${mine}`
  const held = `SELECT seq, id, run, start_written, cancelling, crashes FROM ${t.jobs} WHERE state = 'active' AND worker = ?`
  // Of a job that waits, `worker` is who is handing it to the broker.
  const keeps = `
    UPDATE ${t.jobs} INDEXED BY "${t.prefix}jobs_handing" SET hand_at = min(hand_at, ?), worker = NULL
    WHERE worker = ? AND worker IS NOT NULL AND state = 'ready' AND hand_at IS NOT NULL`
  const suspect = `
    UPDATE ${t.jobs} SET state = 'ready', ${handAnew(t, 'due_at')}, suspect = max(suspect, ?), crashes = ?,
      holds_key = CASE WHEN ? THEN holds_key ELSE ${keyAgain} END, ${letGo}
    WHERE ${mine}`

  const json = (error: JobError) => JSON.stringify(error)
  const cancelled = (db: Db, r: Run, now: number) => db.run(cancel, now, now, r.seq, r.id, r.run) === 1
  /** Try the verb; a job under cancel is ended instead. */
  const unlessCancelled = (db: Db, r: Run, now: number, sql: string, ...values: SqlValue[]) =>
    cancelled(db, r, now) || db.run(sql, ...values, r.seq, r.id, r.run) === 1

  const settle: Settle = {
    start: (db, r) => db.run(start, r.seq, r.id, r.run) === 1,
    note: (db, r, o) => db.run(note, o.progress ?? null, o.note ?? null, r.seq, r.id, r.run) === 1,
    ack: (db, r, result, now) =>
      // The usual case first: it costs one statement.
      db.run(ack, result, now, now, now, r.seq, r.id, r.run) === 1 || cancelled(db, r, now),
    acks(db, acks, now) {
      const plain = db.prepare(ackPlain)
      const lost: number[] = []
      for (let i = 0; i < acks.length; i += ACK) {
        const [seq, id, run] = [acks[i] as number, acks[i + 1] as string, acks[i + 2] as number]
        const result = acks[i + 3] as string | null
        if (Number(plain.run(result, now, now, seq, id, run).changes) === 1) continue
        if (!settle.ack(db, { seq, id, run }, result, now)) lost.push(i / ACK)
      }
      return lost
    },
    retry: (db, r, { delay, error, now }) => unlessCancelled(db, r, now, retry, now + delay, now + delay, json(error)),
    dead: (db, r, { reason, error, now }) =>
      unlessCancelled(db, r, now, dead, reason, SPENT.includes(reason) ? 1 : 0, json(error), now, now),
    release: (db, r, { delay, why, now }) =>
      unlessCancelled(
        db,
        r,
        now,
        release,
        delay > 0 ? 'scheduled' : 'ready',
        delay > 0 ? now + delay : null,
        delay > 0 ? now + delay : null,
        why,
        why,
        now - BLOCKED_FORGOTTEN,
        now,
        why,
        why === 'stop' ? null : why,
      ),
    takeBack(db, worker, { crashed, now }) {
      db.run(keeps, now, worker)
      for (const job of db.all(held, worker)) {
        const r = { seq: Number(job['seq']), id: String(job['id']), run: Number(job['run']) }
        if (cancelled(db, r, now)) continue
        const crashes = Number(job['crashes']) + (crashed && job['start_written'] === 1 ? 1 : 0)
        if (crashes >= maxCrashes && crashes > Number(job['crashes'])) {
          const message = `The process that ran this job died ${crashes} times, the last time in worker ${worker}.`
          const error = { name: 'WorkerCrashed', message, at: now }
          settle.dead(db, r, { reason: 'crashed', error, now })
          onBuried(message, r.id)
          db.run(`UPDATE ${t.jobs} SET crashes = ? WHERE seq = ?`, crashes, r.seq)
        } else db.run(suspect, crashed ? 1 : 0, crashes, crashed ? 1 : 0, r.seq, r.id, r.run)
      }
    },
  }
  return settle
}
