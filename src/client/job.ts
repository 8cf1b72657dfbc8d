// A handle on one job, and how records become what callers see.
import { decode } from '../core/codec.js'
import { toMs } from '../core/duration.js'
import { JobCancelledError, JobFailedError, JobNotFoundError } from '../core/errors.js'
import { check, validationError } from '../core/schema.js'
import { specOf, type Task } from '../core/task.js'
import type { JobRecord } from '../driver/driver.js'
import type { Session } from './session.js'
import type { Job, JobInfo } from './types.js'

/** Waits for jobs to finish. */
export interface Results {
  /** The finished job. @throws JobNotFoundError, ResultTimeoutError, ClientClosedError, or the signal's reason */
  wait(id: string, o: { readonly timeout: number; readonly signal?: AbortSignal | undefined }): Promise<JobRecord>
}

const DEFAULT_RESULT_TIMEOUT = 60_000

export function createJob<Tx, Output>(
  session: Session<Tx>,
  results: Results,
  task: Task<any, any, any, Output>,
  id: string,
  duplicate: boolean,
): Job<Output> {
  return {
    id,
    duplicate,
    async result(o = {}) {
      const timeout = o.timeout === undefined ? DEFAULT_RESULT_TIMEOUT : toMs(o.timeout, 'timeout')
      return (await outputOf(task, await results.wait(id, { timeout, signal: o.signal }))) as Output
    },
    async info() {
      const { jobs } = await session.open()
      const [record] = await jobs.get({ ids: [id] })
      if (!record) throw new JobNotFoundError(id)
      return infoOf(record)
    },
    async cancel() {
      const { jobs } = await session.open()
      const { moved } = await jobs.move({ ids: [id], to: 'cancelled', limit: 1 })
      if (moved.length > 0) return true
      const [record] = await jobs.get({ ids: [id] })
      if (!record) throw new JobNotFoundError(id)
      return record.cancelling // asked for before, and still to come
    },
  }
}

async function outputOf(task: Task, record: JobRecord): Promise<unknown> {
  const { id, name } = record.envelope
  if (record.state === 'cancelled') throw new JobCancelledError(id)
  if (record.state === 'dead') throw new JobFailedError(id, name, record.reason ?? 'failed', record.errors.at(-1))
  const { output } = specOf(task)
  if (output === undefined) return undefined
  const what = `Result of job ${id} (task "${name}")`
  const checked = await check(output, decode(record.result ?? '', what))
  if ('issues' in checked) throw validationError(what, checked.issues)
  return checked.value
}

/** What a caller sees of a record. Text that is no JSON is shown as it is. */
export function infoOf(record: JobRecord): JobInfo {
  const { envelope: e } = record
  return {
    id: e.id,
    name: e.name,
    queue: e.queue,
    state: record.state,
    attempt: record.attempt,
    crashes: record.crashes,
    suspect: record.suspect,
    run: record.run,
    priority: e.priority,
    input: readable(e.body),
    errors: record.errors.map(({ name, message, stack, at }) => ({
      name,
      message,
      ...(stack !== undefined && { stack }),
      at: new Date(at),
    })),
    headers: e.headers,
    cancelling: record.cancelling,
    enqueuedAt: new Date(e.enqueuedAt),
    dueAt: new Date(record.dueAt),
    ...(record.reason !== undefined && { reason: record.reason }),
    ...(record.progress !== undefined && { progress: record.progress }),
    ...(record.note !== undefined && { note: record.note }),
    ...(record.result !== undefined && { output: readable(record.result) }),
    ...(e.group !== undefined && { group: e.group }),
    ...(e.unique !== undefined && { uniqueKey: e.unique.key }),
    ...(record.worker !== undefined && { worker: record.worker }),
    ...(record.blocked && { blocked: { why: record.blocked.why, since: new Date(record.blocked.since) } }),
    ...(record.startedAt !== undefined && { startedAt: new Date(record.startedAt) }),
    ...(record.finishedAt !== undefined && { finishedAt: new Date(record.finishedAt) }),
  }
}

function readable(text: string): unknown {
  try {
    return decode(text, 'It')
  } catch {
    return text
  }
}
