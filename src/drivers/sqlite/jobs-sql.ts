// The operations behind the jobs port: look up, list, count, the operator's moves, and retention.
import { ConfigurationError } from '../../core/errors.js'
import type { JobQuery, JobRecord, Moved } from '../../driver/driver.js'
import type { Db, Row } from './engine.js'
import { handAnew } from './ledger-schema.js'
import type { Tables } from './migrations.js'
import type { Hooks } from './hooks.js'
import { conditionOf, recordOf } from './rows.js'

/** A page of jobs: those that a query fits, newest first, from where an earlier page ended. */
export type Page = JobQuery & { readonly limit: number; readonly cursor?: string }
export type Target = 'ready' | 'cancelled' | 'deleted'

/** Where the next page begins, after a full one. */
export const cursorOf = (rows: readonly Row[], limit: number) =>
  rows.length < limit ? {} : { cursor: String(rows.at(-1)!['seq']) }

/** The number in a cursor; `otherwise` where a list begins. @throws ConfigurationError for what is no cursor */
export function cursorIn(cursor: string | undefined, otherwise: number): number {
  if (cursor === undefined) return otherwise
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
  throw new ConfigurationError(`cursor: ${JSON.stringify(cursor)} is none that a list has given.`)
}

export function jobReads(t: Tables) {
  const byId = `SELECT * FROM ${t.jobs} WHERE id IN (SELECT value FROM json_each(?))`
  const finishedById = `${byId} AND state IN ('completed', 'dead', 'cancelled')`
  const prunable = `SELECT 1 FROM ${t.jobs} WHERE prune_at <= ? LIMIT 1`
  const page = (db: Db, o: Page, now: number, columns: string): Row[] => {
    const { where, values } = conditionOf(o, now)
    const sql = `SELECT ${columns} FROM ${t.jobs} WHERE ${where} AND seq < ? ORDER BY seq DESC LIMIT ?`
    return db.all(sql, ...values, cursorIn(o.cursor, Number.MAX_SAFE_INTEGER), o.limit)
  }
  return {
    jobs(db: Db, o: { ids: readonly string[]; finished: boolean }): JobRecord[] {
      const now = Date.now()
      return db.all(o.finished ? finishedById : byId, JSON.stringify(o.ids)).map((row) => recordOf(row, now))
    },
    listJobs(db: Db, o: Page): { jobs: JobRecord[]; cursor?: string } {
      const now = Date.now()
      const rows = page(db, o, now, '*')
      return { jobs: rows.map((row) => recordOf(row, now)), ...cursorOf(rows, o.limit) }
    },
    countJobs(db: Db, o: JobQuery): number {
      const { where, values } = conditionOf(o, Date.now())
      return Number(db.get(`SELECT count(*) AS n FROM ${t.jobs} WHERE ${where}`, ...values)?.['n'])
    },
    /** Jobs that a move may concern: found without the lock, which a filter that fits little would hold for long. */
    findJobs(db: Db, o: Page): { seqs: number[]; cursor?: string } {
      const rows = page(db, o, Date.now(), 'seq')
      return { seqs: rows.map((row) => Number(row['seq'])), ...cursorOf(rows, o.limit) }
    },
    isPrunable: (db: Db) => db.get(prunable, Date.now()) !== undefined,
  }
}

export function jobWrites(t: Tables, hooks: Hooks) {
  const bySeq = `SELECT id, name, seq, state, unique_key FROM ${t.jobs} WHERE seq = ?`
  const holder = `SELECT id FROM ${t.jobs} WHERE name = ? AND unique_key = ? AND holds_key = 1`
  const free = `UPDATE ${t.jobs} SET holds_key = 0 WHERE name = ? AND unique_key = ? AND holds_key = 1 AND state = 'completed' AND coalesce(unique_until_at, 0) <= ?`
  // A job that died of its time gets that time anew.
  const revive = `
    UPDATE ${t.jobs} SET state = 'ready', due_at = ?, ${handAnew(t, '?')}, attempts = 0, crashes = 0, suspect = (reason = 'crashed'),
      reason = NULL, blocked = NULL, blocked_since = NULL, finished_at = NULL, prune_at = NULL,
      expires_at = ? + expires_in, holds_key = unique_key IS NOT NULL
    WHERE seq = ? AND state = 'dead'`
  const runNow = `UPDATE ${t.jobs} SET state = 'ready', due_at = ?, ${handAnew(t, '?')}, blocked = NULL WHERE seq = ? AND state = 'scheduled'`
  const cancelWaiting = `
    UPDATE ${t.jobs} SET state = 'cancelled', finished_at = ?, prune_at = ? + keep_completed, holds_key = 0, blocked = NULL, hand_at = NULL
    WHERE seq = ? AND state IN ('ready', 'scheduled')`
  const cancelActive = `UPDATE ${t.jobs} SET cancelling = 1 WHERE seq = ? AND state = 'active' AND cancelling = 0`
  const remove = `DELETE FROM ${t.jobs} WHERE seq = ? AND state <> 'active'`
  const prune = `DELETE FROM ${t.jobs} WHERE seq IN (SELECT seq FROM ${t.jobs} WHERE prune_at <= ? LIMIT ?)`

  function toReady(db: Db, row: Row, now: number): Moved | undefined {
    const { id, name, seq, unique_key: key } = row
    if (row['state'] === 'scheduled') return db.run(runNow, now, now, seq!) === 1 ? { id: String(id) } : undefined
    if (row['state'] !== 'dead') return undefined
    if (key !== null) {
      db.run(free, name!, key!, now)
      const taken = db.get(holder, name!, key!)
      if (taken) return { id: String(id), conflict: String(taken['id']) }
    }
    return db.run(revive, now, now, now, seq!) === 1 ? { id: String(id) } : undefined
  }

  function moveOne(db: Db, row: Row, to: Target, now: number): Moved | undefined {
    if (to === 'ready') return toReady(db, row, now)
    const changed =
      to === 'deleted'
        ? db.run(remove, row['seq']!)
        : db.run(cancelWaiting, now, now, row['seq']!) || db.run(cancelActive, row['seq']!)
    return changed === 1 ? { id: String(row['id']) } : undefined
  }

  return {
    moveJobs(db: Db, o: { seqs: readonly number[]; to: Target }): Moved[] {
      const now = Date.now()
      const moved: Moved[] = []
      for (const seq of o.seqs) {
        const row = db.get(bySeq, seq)
        const one = row && moveOne(db, row, o.to, now)
        if (one) moved.push(one)
      }
      if (o.to === 'ready') hooks.ready()
      else hooks.done()
      return moved
    },
    prune: (db: Db, limit: number) => db.run(prune, Date.now(), limit),
  }
}
