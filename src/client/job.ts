// A handle on one job, and how records become what callers see.
import { decode } from '../core/codec.js'
import { toMs, type Duration } from '../core/duration.js'
import { JobCancelledError, JobFailedError, JobNotFoundError } from '../core/errors.js'
import { check, validationError } from '../core/schema.js'
import { specOf, type Task } from '../core/task.js'
import type { JobRecord } from '../driver/driver.js'
import type { Ending } from './reply.js'
import type { Session } from './session.js'
import type { Job, JobInfo } from './types.js'

/** Waits for jobs to finish. */
export interface Results {
  /**
   * The finished job.
   * @throws JobNotFoundError, ResultTimeoutError, ClientClosedError, or the signal's reason; UnsupportedError where nothing
   * is remembered
   */
  wait(id: string, o: WaitOptions): Promise<JobRecord>
  /** How it ended, as a reply tells: bounded as a wait is. */
  waitFor(id: string, ending: Promise<Ending>, o: WaitOptions): Promise<Ending>
}

export interface WaitOptions {
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_RESULT_TIMEOUT = 60_000

/** What the handles of one client and task share. */
interface Parts {
  readonly session: Session<any>
  readonly results: Results
  readonly task: Task
}

/** Makes handles on jobs of one task. */
export function jobsOf<Output>(
  session: Session<any>,
  results: Results,
  task: Task<any, any, any, Output>,
): (id: string, duplicate: boolean, reply?: Promise<Ending>) => Job<Output> {
  const parts: Parts = { session, results, task }
  return (id, duplicate, reply) => new JobHandle<Output>(parts, id, duplicate, reply)
}

/** A class for once: an `enqueueMany` answers a great many of these. */
class JobHandle<Output> implements Job<Output> {
  readonly #parts: Parts
  /** How it will have ended, if its end is sent to us. */
  readonly #reply: Promise<Ending> | undefined
  id: string
  duplicate: boolean

  constructor(parts: Parts, id: string, duplicate: boolean, reply: Promise<Ending> | undefined) {
    this.#parts = parts
    this.#reply = reply
    this.id = id
    this.duplicate = duplicate
  }

  async result(o: { timeout?: Duration; signal?: AbortSignal } = {}): Promise<Output> {
    const { results, task } = this.#parts
    const timeout = o.timeout === undefined ? DEFAULT_RESULT_TIMEOUT : toMs(o.timeout, 'timeout')
    const options = { timeout, signal: o.signal }
    const ending = this.#reply
      ? await results.waitFor(this.id, this.#reply, options)
      : await results.wait(this.id, options)
    return (await outputOf(task, this.id, ending)) as Output
  }

  async info(): Promise<JobInfo> {
    return infoOf(await this.#record())
  }

  async cancel(): Promise<boolean> {
    const { jobs } = await this.#parts.session.open()
    const { moved } = await jobs.move({ ids: [this.id], to: 'cancelled', limit: 1 })
    if (moved.length > 0) return true
    return (await this.#record()).cancelling // asked for before, and still to come
  }

  async #record(): Promise<JobRecord> {
    const { jobs } = await this.#parts.session.open()
    const [record] = await jobs.get({ ids: [this.id] })
    if (!record) throw new JobNotFoundError(this.id)
    return record
  }
}

async function outputOf(task: Task, id: string, ending: Ending): Promise<unknown> {
  const { name } = task
  if (ending.state === 'cancelled') throw new JobCancelledError(id)
  if (ending.state === 'dead') throw new JobFailedError(id, name, ending.reason ?? 'failed', ending.errors.at(-1))
  const { output } = specOf(task)
  if (output === undefined) return undefined
  const what = `Result of job ${id} (task "${name}")`
  const checked = await check(output, decode(ending.result ?? '', what))
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
