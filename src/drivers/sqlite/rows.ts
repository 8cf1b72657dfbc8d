// A row of the jobs table, as an envelope and as a record, and the condition that a query becomes.
import type { DeadReason, JobError } from '../../core/errors.js'
import type { Envelope, HeaderMap, UniqueClaim } from '../../core/envelope.js'
import { JOB_STATES, type JobState } from '../../core/job.js'
import type { JobQuery, JobRecord, ReleaseReason } from '../../driver/driver.js'
import type { Row, SqlValue } from './engine.js'

const number = (value: SqlValue | undefined) => Number(value ?? 0)
const present = (value: SqlValue | undefined) => value !== null && value !== undefined

function envelopeOf(row: Row): Envelope {
  const unique = uniqueOf(row)
  return {
    id: String(row['id']),
    queue: String(row['queue']),
    name: String(row['name']),
    body: String(row['body']),
    headers: JSON.parse(String(row['headers'])) as HeaderMap,
    priority: number(row['priority']),
    enqueuedAt: number(row['enqueued_at']),
    keep: { completed: number(row['keep_completed']), dead: number(row['keep_dead']) },
    ...(present(row['expires_at']) && { expiresAt: number(row['expires_at']) }),
    ...(unique && { unique }),
    ...(present(row['job_group']) && { group: String(row['job_group']) }),
  }
}

function uniqueOf(row: Row): UniqueClaim | undefined {
  if (!present(row['unique_key'])) return undefined
  const until = String(row['unique_until'])
  return {
    key: String(row['unique_key']),
    until:
      until === 'started' || until === 'finished' ? until : number(row['unique_until_at']) - number(row['enqueued_at']),
  }
}

export function recordOf(row: Row, now: number): JobRecord {
  const stored = String(row['state']) as JobState
  const dueAt = number(row['due_at'])
  // Nobody moves a row when its time comes; it counts as ready from then on.
  const state = stored === 'scheduled' && dueAt <= now ? 'ready' : stored
  return {
    envelope: envelopeOf(row),
    state,
    run: number(row['run']),
    attempt: number(row['attempts']) + (state === 'active' ? 1 : 0),
    crashes: number(row['crashes']),
    suspect: number(row['suspect']) === 1,
    errors: JSON.parse(String(row['errors'])) as JobError[],
    dueAt,
    cancelling: state === 'active' && number(row['cancelling']) === 1,
    ...(present(row['reason']) && { reason: String(row['reason']) as DeadReason }),
    ...(present(row['progress']) && { progress: number(row['progress']) }),
    ...(present(row['note']) && { note: String(row['note']) }),
    ...(present(row['result']) && { result: String(row['result']) }),
    ...(state === 'active' && present(row['worker']) && { worker: String(row['worker']) }),
    ...(present(row['started_at']) && { startedAt: number(row['started_at']) }),
    ...(present(row['finished_at']) && { finishedAt: number(row['finished_at']) }),
    ...blockedOf(row),
  }
}

/** Why and since when a job is given back again and again. */
function blockedOf(row: Row): { blocked?: { why: ReleaseReason; since: number } } {
  if (!present(row['blocked'])) return {}
  return { blocked: { why: String(row['blocked']) as ReleaseReason, since: number(row['blocked_since']) } }
}

/** The WHERE clause of a query and its values. Every value is bound, never written into the text. */
export function conditionOf(q: JobQuery, now: number): { readonly where: string; readonly values: SqlValue[] } {
  const parts: string[] = []
  const values: SqlValue[] = []
  const add = (sql: string, ...bound: SqlValue[]) => {
    parts.push(sql)
    values.push(...bound)
  }
  if (q.ids !== undefined) add(`id IN (SELECT value FROM json_each(?))`, JSON.stringify(q.ids))
  if (q.name !== undefined) add('name = ?', q.name)
  if (q.queue !== undefined) add('queue = ?', q.queue)
  if (q.states !== undefined) addStates(q.states, now, add)
  if (q.reason !== undefined) add('reason = ?', q.reason)
  if (q.group !== undefined) add('job_group = ?', q.group)
  if (q.error !== undefined)
    add(
      `instr(lower(json_extract(errors, '$[#-1].name') || ': ' || json_extract(errors, '$[#-1].message')), lower(?)) > 0`,
      q.error,
    )
  if (q.since !== undefined) add('enqueued_at >= ?', q.since)
  if (q.before !== undefined) add('enqueued_at < ?', q.before)
  if (q.worker !== undefined) add(`state = 'active' AND worker = ?`, q.worker)
  // Written as the partial indexes have them, which serve no other words.
  if (q.suspect !== undefined) add(`state = 'ready' AND suspect = 1`)
  if (q.blocked !== undefined) add('blocked = ?', q.blocked)
  return { where: parts.length === 0 ? 'TRUE' : parts.join(' AND '), values }
}

function addStates(states: readonly JobState[], now: number, add: (sql: string, ...bound: SqlValue[]) => void): void {
  const [ready, scheduled] = [states.includes('ready'), states.includes('scheduled')]
  const others = states.filter((state) => state !== 'ready' && state !== 'scheduled')
  const either: string[] = []
  const bound: SqlValue[] = []
  if (others.length > 0) {
    // Written out, for a partial index serves only a condition that SQLite can read; the words are those of our own list.
    const known = others.filter((state) => JOB_STATES.includes(state))
    const words = known.map((state) => `'${state}'`)
    // An index of dead jobs does not serve a list of one.
    either.push(words.length === 1 ? `state = ${words[0]}` : `state IN (${words.join(', ')})`)
  }
  if (ready) either.push(`state = 'ready'`)
  if (ready !== scheduled) {
    either.push(`(state = 'scheduled' AND due_at ${ready ? '<=' : '>'} ?)`)
    bound.push(now)
  } else if (scheduled) either.push(`state = 'scheduled'`)
  add(either.length === 0 ? 'FALSE' : `(${either.join(' OR ')})`, ...bound)
}
