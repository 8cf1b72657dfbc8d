// The operations behind the ledger port: which jobs are to be handed to the broker, and who has started one that arrived.
import { messageOf } from '../../core/errors.js'
import type { Arrival, DueHanding } from '../../driver/ledger.js'
import { sqliteCode, type Db, type Row, type SqlValue } from './engine.js'
import { isLedger } from './ledger-schema.js'
import type { Tables } from './migrations.js'
import type { Hooks, OperationSettings } from './hooks.js'
import { ENVELOPE, packEnvelopes, type Packed, type RareParts } from './packing.js'
import { createPublish, type Duplicate, type Publish } from './publish.js'
import { recordOf } from './rows.js'

/** Values of a handing: id, ticket. */
const HANDING = 2
/** Values of an arrival: id, ticket or null, worker, and for one without a ticket its envelope and course as JSON. */
export const ARRIVAL = 4
/** Values of a started job: seq (null when the message is stale), run, attempts, due, rare. */
export const STARTED = 5
/** Values of a job that has ended: those of its envelope, and state, run, attempts, result, reason, errors. */
export const ENDED = ENVELOPE + 6

export function ledgerReads(t: Tables) {
  const next = nextSql(t)
  return {
    isLedger: (db: Db) => isLedger(db, t),
    /** When the next job is to be handed to the broker, as far as is known. */
    nextHanding: (db: Db) => timeOf(db, next),
  }
}

export function ledgerWrites(
  t: Tables,
  o: { readonly settings: OperationSettings; readonly publish: Publish; readonly hooks: Hooks },
) {
  const { settings, hooks } = o
  // Who adds them hands them over now, so nobody needs to hear of it.
  const add = createPublish(t, { ready: () => {} }, settings.handingPatience)
  const handed = `UPDATE ${t.jobs} SET hand_at = NULL WHERE id = ? AND ticket = ? AND hand_at IS NOT NULL`
  const withdraw = `DELETE FROM ${t.jobs} WHERE id = ? AND ticket = ? AND state = 'ready' AND run = 0`
  const next = nextSql(t)
  const due = `SELECT * FROM ${t.jobs} INDEXED BY "${t.prefix}jobs_hand" WHERE hand_at IS NOT NULL AND hand_at <= ? ORDER BY hand_at LIMIT ?`
  const take = `UPDATE ${t.jobs} SET ticket = ticket + 1, hand_at = ?, state = 'ready', worker = ? WHERE seq = ?`
  const forget = `UPDATE ${t.jobs} SET hand_at = NULL WHERE seq = ?`
  const byTicket = findSql(t, `id = ? AND ticket = ? AND state = 'ready'`)
  const foreign = findSql(
    t,
    `id = ? AND ticket = 0 AND (state = 'ready' OR (state = 'scheduled' AND due_at <= ?)) AND name = ?`,
  )
  // Found first and started then, as `RETURNING` costs more than the look does.
  const start = `UPDATE ${t.jobs} SET state = 'active', run = run + 1, worker = ?, started_at = ?, hand_at = NULL WHERE seq = ?`
  const freeKey = `UPDATE ${t.jobs} SET holds_key = 0 WHERE seq = ? AND unique_until = 'started'`
  const setCourse = `UPDATE ${t.jobs} SET run = ?, attempts = ?, suspect = ? WHERE id = ? AND run = 0`
  const known = `SELECT 1 FROM ${t.jobs} WHERE id = ?`
  const present = `SELECT 1 FROM ${t.workers} WHERE id = ?`
  const declare = `INSERT INTO ${t.queues} (name, declared_at) VALUES (?, ?) ON CONFLICT DO NOTHING`
  const record = `
    INSERT INTO ${t.jobs} (id, queue, name, state, priority, due_at, body, headers, enqueued_at, keep_completed, keep_dead,
      expires_at, expires_in, unique_key, unique_until, unique_until_at, job_group,
      run, attempts, result, reason, errors, finished_at, prune_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`

  /** A message of somebody who does not know the store: its job is written when there is none yet. */
  function findForeign(db: Db, text: string, now: number): SqlValue[] | undefined {
    // It has arrived, so it waits no more.
    const { envelope: whole, course } = JSON.parse(text) as Arrival
    const { notBefore: _, ...envelope } = whole
    if (!db.get(known, envelope.id)) {
      try {
        o.publish(db, packEnvelopes([envelope]), now)
        if (course) db.run(setCourse, course.run, course.attempts, Number(course.suspect), envelope.id)
      } catch (error) {
        // A message that cannot be a job must not keep all others from starting.
        if (![undefined, 'CONSTRAINT'].includes(sqliteCode(error))) throw error
        hooks.log('warn', `A message from elsewhere is no job that can be kept, and is left out: ${messageOf(error)}`, {
          id: envelope.id,
        })
        return undefined
      }
    }
    return db.rows(foreign, envelope.id, now, envelope.name)[0]
  }

  return {
    /** Answers the duplicates, and the places of those whose time has not come: these have no ticket yet. */
    addJobs(db: Db, envelopes: Packed): { duplicates: readonly Duplicate[]; later: readonly number[] } {
      const now = Date.now()
      const later: number[] = []
      for (let at = ENVELOPE - 1; at < envelopes.length; at += ENVELOPE) {
        const rare = envelopes[at] as string | null
        if (rare !== null && ((JSON.parse(rare) as RareParts).notBefore ?? 0) > now) later.push((at + 1) / ENVELOPE - 1)
      }
      const duplicates = add(db, envelopes, now)
      if (later.length > 0) hooks.ready()
      return { duplicates, later }
    },
    /** `HANDING` values each. */
    handed(db: Db, handings: readonly SqlValue[]): null {
      const statement = db.prepare(handed)
      for (let at = 0; at < handings.length; at += HANDING) statement.run(handings[at]!, handings[at + 1]!)
      return null
    },
    withdraw(db: Db, handings: readonly SqlValue[]): null {
      for (let at = 0; at < handings.length; at += HANDING) db.run(withdraw, handings[at]!, handings[at + 1]!)
      return null
    },
    takeDue(
      db: Db,
      { limit, worker }: { limit: number; worker: string | null },
    ): { handings: DueHanding[]; next: number | null } {
      const now = Date.now()
      const rows = db.all(due, now, limit)
      const handings = rows.filter(isWaiting).map((row) => {
        db.run(take, now + settings.handingPatience, worker, row['seq']!)
        const { envelope, suspect } = recordOf(row, now)
        return { id: envelope.id, ticket: Number(row['ticket']) + 1, envelope, suspect }
      })
      // Left by a process that did not know yet that another broker moves these jobs.
      for (const row of rows) if (!isWaiting(row)) db.run(forget, row['seq']!)
      return { handings, next: timeOf(db, next) }
    },
    /** `ARRIVAL` values each; answers `STARTED` values each, and those workers that do not beat: they get nothing. */
    startArrivals(db: Db, arrivals: readonly SqlValue[]): { rows: SqlValue[]; absent: string[] } {
      const now = Date.now()
      const workers = new Map<string, boolean>()
      const rows: SqlValue[] = []
      for (let at = 0; at < arrivals.length; at += ARRIVAL) {
        const [id, ticket, foreigner] = [arrivals[at]!, arrivals[at + 1]!, arrivals[at + 3] as string | null]
        const worker = arrivals[at + 2] as string
        let beats = workers.get(worker)
        // Without a beat nobody would notice the worker's death, and the jobs would be stranded.
        if (beats === undefined) workers.set(worker, (beats = db.get(present, worker) !== undefined))
        const row = !beats
          ? undefined
          : foreigner === null
            ? db.rows(byTicket, id, ticket)[0]
            : findForeign(db, foreigner, now)
        if (row === undefined) {
          rows.push(null, null, null, null, null)
          continue
        }
        rows.push(row[0]!, row[1]!, row[2]!, row[3]!, row[4]!)
        db.run(start, worker, now, row[0]!)
        if (row[4] !== null) db.run(freeKey, row[0]!)
      }
      return { rows, absent: [...workers].filter(([, beats]) => !beats).map(([worker]) => worker) }
    },
    /** `ENDED` values each; answers the places of those that were there already. */
    record(db: Db, ended: readonly SqlValue[]): number[] {
      const now = Date.now()
      const there: number[] = []
      const queues = new Set<string>()
      for (let at = 0; at < ended.length; at += ENDED) {
        const [id, queue, name, body, headers, priority, enqueuedAt, keepCompleted, keepDead] = ended.slice(at, at + 9)
        const { expiresAt, unique, group } = JSON.parse((ended[at + 9] as string | null) ?? '{}') as RareParts
        const [state, run, attempts, result, reason, errors] = ended.slice(at + ENVELOPE, at + ENDED)
        const until = unique?.until
        const created = Number(enqueuedAt)
        // prettier-ignore
        const values = [
          id, queue, name, state, priority, created, body, headers, created, keepCompleted, keepDead,
          expiresAt ?? null, expiresAt === undefined ? null : expiresAt - created,
          unique?.key ?? null, until === undefined ? null : typeof until === 'number' ? 'time' : until,
          typeof until === 'number' ? created + until : null, group ?? null,
          run, attempts, result, reason, errors, now, now + Number(state === 'dead' ? keepDead : keepCompleted),
        ] as SqlValue[]
        if (db.run(record, ...values) === 0) there.push(at / ENDED)
        queues.add(queue as string)
      }
      for (const queue of queues) db.run(declare, queue, now)
      hooks.done()
      return there
    },
  }
}

/** A job that waits, as `STARTED` values; what its message says itself is not read. */
function findSql(t: Tables, condition: string): string {
  const rare = `
    CASE WHEN suspect = 0 AND blocked IS NULL AND unique_key IS NULL AND crashes = 0 THEN NULL
    ELSE json_object('suspect', suspect, 'crashes', crashes, 'blocked', blocked, 'blocked_since', blocked_since) END`
  return `SELECT seq, run + 1, attempts, due_at, ${rare} FROM ${t.jobs} WHERE ${condition}`
}

const isWaiting = (row: Row) => row['state'] === 'ready' || row['state'] === 'scheduled'

const nextSql = (t: Tables) => `SELECT min(hand_at) AS at FROM ${t.jobs} WHERE hand_at IS NOT NULL`

function timeOf(db: Db, next: string): number | null {
  const at = db.get(next)?.['at'] ?? null
  return at === null ? null : Number(at)
}
