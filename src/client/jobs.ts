// The operator's verbs over jobs: by id, or by a filter, in bounded batches.
import { ConfigurationError, JobConflictError, JobNotFoundError, shown } from '../core/errors.js'
import { JOB_STATES, type JobState } from '../core/job.js'
import { refuseUnknown } from '../core/task.js'
import { KEPT_LINES, type JobQuery, type Moved, type ReleaseReason } from '../driver/driver.js'
import { checkLimit, timeOf } from './filters.js'
import { infoOf } from './job.js'
import type { Session } from './session.js'
import type { ClientCore, JobFilter } from './types.js'

const KNOWN = 'ids task queue states reason group error since before suspect blocked limit cursor'.split(' ')
const PAGE = 50
const MAX_PAGE = 1000
const BATCH = 500

export function createJobVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['jobs'] {
  async function move(which: string | JobFilter, to: 'ready' | 'cancelled' | 'deleted', defaults: readonly JobState[]) {
    const { jobs, traits } = await session.open()
    if (typeof which === 'string') {
      const { moved } = await jobs.move({ ids: [which], to, limit: 1 })
      const [one] = moved
      if (!one && (await jobs.get({ ids: [which] })).length === 0) throw new JobNotFoundError(which)
      if (one?.conflict !== undefined) throw conflictOf(one, one.conflict)
      return moved.length
    }
    // A broker without memory knows only its dead jobs.
    const usual = traits.remembers || to === 'cancelled' ? defaults : (['dead'] as const)
    const query = { ...queryOf(which), states: which.states ?? usual }
    if (which.limit !== undefined) checkLimit(which.limit, Number.MAX_SAFE_INTEGER)
    let total = 0
    let left = which.limit ?? Infinity
    let cursor = which.cursor
    do {
      const limit = Math.min(BATCH, left)
      const page = await jobs.move({ ...query, to, limit, ...(cursor !== undefined && { cursor }) })
      const refused = page.moved.filter((one) => one.conflict !== undefined)
      for (const one of refused)
        session.log.warn({ id: one.id, holder: one.conflict }, 'Not retried: its unique key is held.')
      total += page.moved.length - refused.length
      left -= limit
      cursor = page.cursor
    } while (cursor !== undefined && left > 0)
    return total
  }

  return {
    async get(id) {
      const { jobs } = await session.open()
      const [record] = await jobs.get({ ids: [id] })
      return record && infoOf(record)
    },
    async list(filter = {}) {
      const { jobs } = await session.open()
      const limit = filter.limit ?? PAGE
      checkLimit(limit, MAX_PAGE)
      const { cursor } = filter
      const page = await jobs.list({ ...queryOf(filter), limit, ...(cursor !== undefined && { cursor }) })
      return { jobs: page.jobs.map(infoOf), ...(page.cursor !== undefined && { cursor: page.cursor }) }
    },
    retry: (which) => move(which, 'ready', ['dead']),
    cancel: (which) => move(which, 'cancelled', ['scheduled', 'ready', 'active']),
    delete: (which) => move(which, 'deleted', ['completed', 'dead', 'cancelled']),
    async logs(id, o = {}) {
      refuseUnknown('jobs.logs()', o, ['after', 'limit'])
      const { after = 0, limit = KEPT_LINES } = o
      checkLimit(limit, MAX_PAGE)
      if (!Number.isInteger(after) || after < 0)
        throw new ConfigurationError(`after: ${after} is no number of a line. Give the \`n\` of one, or 0.`)
      const { jobs } = await session.open()
      const lines = await jobs.logs({ id, after, limit })
      if (lines.length === 0 && (await jobs.get({ ids: [id] })).length === 0) throw new JobNotFoundError(id)
      return lines.map((line) => ({ ...line, at: new Date(line.at) }))
    },
  }
}

function conflictOf(moved: Moved, holder: string): JobConflictError {
  return new JobConflictError(
    `Job ${moved.id} was not retried: job ${holder} holds its unique key. Wait for that job, or cancel it.`,
    { id: moved.id, holder },
  )
}

/** The seam's query for a user's filter. @throws ConfigurationError for a key or value that is not allowed. */
export function queryOf(f: JobFilter): JobQuery {
  refuseUnknown('The job filter', f, KNOWN)
  const stray = f.states?.find((state) => !JOB_STATES.includes(state))
  if (stray !== undefined)
    throw new ConfigurationError(`states: there is no state "${stray}". The states are: ${JOB_STATES.join(', ')}.`)
  const since = timeOf(f.since, 'since')
  const before = timeOf(f.before, 'before')
  return {
    ...(f.ids !== undefined && { ids: f.ids }),
    ...(f.task !== undefined && { name: typeof f.task === 'string' ? f.task : f.task.name }),
    ...(f.queue !== undefined && { queue: f.queue }),
    ...(f.states !== undefined && { states: f.states }),
    ...(f.reason !== undefined && { reason: f.reason }),
    ...(f.group !== undefined && { group: f.group }),
    ...(f.error !== undefined && { error: f.error }),
    ...(since !== undefined && { since }),
    ...(before !== undefined && { before }),
    ...(f.suspect !== undefined && { suspect: isTrue(f.suspect) }),
    ...(f.blocked !== undefined && { blocked: knownReason(f.blocked) }),
  }
}

function isTrue(suspect: unknown): true {
  if (suspect === true) return suspect
  throw new ConfigurationError(`suspect: ${shown(suspect)} is not allowed. Give true, or leave it out.`)
}

const REASONS: readonly ReleaseReason[] = ['stop', 'later', 'no-handler', 'limit']

function knownReason(blocked: ReleaseReason): ReleaseReason {
  if (REASONS.includes(blocked)) return blocked
  throw new ConfigurationError(`blocked: ${shown(blocked)} is no reason. The reasons are: ${REASONS.join(', ')}.`)
}
