// The operator's verbs over jobs: by id, or by a filter, in bounded batches.
import { ConfigurationError, JobConflictError, JobNotFoundError } from '../core/errors.js'
import { JOB_STATES, type JobState } from '../core/job.js'
import { refuseUnknown } from '../core/task.js'
import type { JobQuery, Moved } from '../driver/driver.js'
import { infoOf } from './job.js'
import type { Session } from './session.js'
import type { ClientCore, JobFilter } from './types.js'

const KNOWN = 'ids task queue states reason group error since before limit cursor'.split(' ')
const PAGE = 50
const MAX_PAGE = 1000
const BATCH = 500

export function createJobVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['jobs'] {
  async function move(which: string | JobFilter, to: 'ready' | 'cancelled' | 'deleted', defaults: readonly JobState[]) {
    const { jobs } = await session.open()
    if (typeof which === 'string') {
      const { moved } = await jobs.move({ ids: [which], to, limit: 1 })
      const [one] = moved
      if (!one && (await jobs.get({ ids: [which] })).length === 0) throw new JobNotFoundError(which)
      if (one?.conflict !== undefined) throw conflictOf(one, one.conflict)
      return moved.length
    }
    const query = { ...queryOf(which), states: which.states ?? defaults }
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
  }
}

function checkLimit(limit: number, most: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return
  throw new ConfigurationError(`limit: ${limit} is no whole number from 1 to ${most}.`)
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
  }
}

function timeOf(date: Date | undefined, option: string): number | undefined {
  if (date === undefined) return undefined
  const time = date instanceof Date ? date.getTime() : Number.NaN
  if (Number.isNaN(time)) throw new ConfigurationError(`${option}: ${String(date)} is no valid Date.`)
  return time
}
