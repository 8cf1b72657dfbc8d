// Every error Millrace throws: one tree, a stable code each. docs/errors.md has a line for every code; a test compares them.

/** Why a job is dead. */
export type DeadReason = 'failed' | 'crashed' | 'invalid-input' | 'invalid-output' | 'no-handler' | 'expired'

/** One problem that a schema found. `path` is written like `$.user.name`. */
export interface Issue {
  readonly path: string
  readonly message: string
}

/** A failure as it is stored with a job: at most 4 KiB of text. `at` is epoch milliseconds. */
export interface JobError {
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly code?: string
  readonly at: number
}

/**
 * Root of every error thrown by Millrace. Tell errors apart by `code`, which never changes, rather than by
 * `instanceof`, which fails when two copies of the package are loaded.
 */
export class MillraceError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}

/** An input or output that does not fit: not JSON, or refused by its schema. `issues` names each place. */
export class ValidationError extends MillraceError {
  readonly issues: readonly Issue[]
  constructor(message: string, issues: readonly Issue[] = [], options?: ErrorOptions) {
    super('ERR_VALIDATION', message, options)
    this.issues = issues
  }
}

/** An input or result above the limit (1 MiB of JSON text). Sizes are bytes. */
export class PayloadTooLargeError extends MillraceError {
  readonly bytes: number
  readonly limit: number
  constructor(what: string, bytes: number, limit: number) {
    super(
      'ERR_PAYLOAD_TOO_LARGE',
      `${what} is ${bytes} bytes of JSON; the limit is ${limit}. Store the data elsewhere and send a reference to it.`,
    )
    this.bytes = bytes
    this.limit = limit
  }
}

/**
 * The broker or store did not take the work in time. `outcome` is `not-sent` when nothing was kept, and `unknown` when
 * it may have been; enqueueing again with the same `ids` is safe.
 */
export class BrokerUnavailableError extends MillraceError {
  readonly outcome: 'not-sent' | 'unknown'
  readonly ids: readonly string[]
  constructor(
    message: string,
    o: { outcome: 'not-sent' | 'unknown'; ids?: readonly string[] | undefined; cause?: unknown },
  ) {
    super('ERR_BROKER_UNAVAILABLE', message, o.cause === undefined ? undefined : { cause: o.cause })
    this.outcome = o.outcome
    this.ids = o.ids ?? []
  }
}

/** The driver in use cannot do what was asked. The message says which one can. */
export class UnsupportedError extends MillraceError {
  constructor(message: string) {
    super('ERR_UNSUPPORTED', message)
  }
}

/** A wrong option, URL, file or definition. Nothing was started. */
export class ConfigurationError extends MillraceError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CONFIGURATION', message, options)
  }
}

/** The client, worker or driver was used after `close()`. */
export class ClientClosedError extends MillraceError {
  constructor(message = 'This client is closed. Create a new one with createClient() or connect().') {
    super('ERR_CLIENT_CLOSED', message)
  }
}

/** No job has this id: it never existed, or retention has removed it. */
export class JobNotFoundError extends MillraceError {
  readonly id: string
  constructor(id: string) {
    super('ERR_JOB_NOT_FOUND', `No job has the id "${id}". It never existed, or it was removed after its retention.`)
    this.id = id
  }
}

/** The id or unique key is held by another job, named in `holder`. */
export class JobConflictError extends MillraceError {
  readonly id: string
  readonly holder: string
  constructor(message: string, o: { id: string; holder: string }) {
    super('ERR_JOB_CONFLICT', message)
    this.id = o.id
    this.holder = o.holder
  }
}

/** Thrown by `result()`: the job is dead. `cause` carries the handler's name, message and stack. */
export class JobFailedError extends MillraceError {
  readonly id: string
  readonly reason: DeadReason
  constructor(id: string, task: string, reason: DeadReason, last: JobError | undefined) {
    const detail = last ? `: ${last.name}: ${last.message}` : ''
    super('ERR_JOB_FAILED', `Job ${id} of task "${task}" is dead (${reason})${detail}`, {
      cause: last && errorFrom(last),
    })
    this.id = id
    this.reason = reason
  }
}

/** Thrown by `result()`: the job was cancelled. */
export class JobCancelledError extends MillraceError {
  readonly id: string
  constructor(id: string) {
    super('ERR_JOB_CANCELLED', `Job ${id} was cancelled.`)
    this.id = id
  }
}

/** One attempt ran longer than the task's `timeout` (milliseconds). */
export class JobTimeoutError extends MillraceError {
  readonly timeout: number
  constructor(task: string, timeout: number) {
    super(
      'ERR_JOB_TIMEOUT',
      `The handler of "${task}" ran longer than its timeout of ${timeout} ms. Raise the task's \`timeout\`, or listen to ctx.signal and stop.`,
    )
    this.timeout = timeout
  }
}

/** Thrown by `result()`: the job has not finished in time. It goes on; ask again later. */
export class ResultTimeoutError extends MillraceError {
  readonly id: string
  constructor(id: string, timeout: number) {
    super('ERR_RESULT_TIMEOUT', `Job ${id} has not finished within ${timeout} ms. It is still queued or running.`)
    this.id = id
  }
}

/** Reason of `ctx.signal` when the worker stops and the grace is over: the job is given back unspent. */
export class WorkerStoppingError extends MillraceError {
  constructor() {
    super('ERR_WORKER_STOPPING', 'The worker is stopping and its grace is over. The job is given back and runs again.')
  }
}

/** The job is no longer this worker's: its lease ran out and another run may be under way. Nothing was written. */
export class LeaseLostError extends MillraceError {
  readonly id: string
  readonly run: number
  constructor(id: string, run: number) {
    super('ERR_LEASE_LOST', `Run ${run} of job ${id} no longer owns the job, so nothing was written.`)
    this.id = id
    this.run = run
  }
}

/** A delivery was settled twice: a mistake in the code that uses the driver. */
export class AlreadySettledError extends MillraceError {
  constructor(id: string, run: number) {
    super('ERR_ALREADY_SETTLED', `Run ${run} of job ${id} was settled before. Each delivery is settled once.`)
  }
}

/** Throw it in a handler: this job cannot succeed, so do not try again. */
export class NonRetryableError extends MillraceError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_NON_RETRYABLE', message, options)
  }
}

/** Throw it in a handler: not now, try again after `delay` (milliseconds or `'30s'`). Spends no attempt. */
export class RetryLaterError extends MillraceError {
  readonly delay: number | string
  constructor(delay: number | string, message = `Not now; again after ${delay}.`, options?: ErrorOptions) {
    super('ERR_RETRY_LATER', message, options)
    this.delay = delay
  }
}

/** Whether `error` carries this code, such as `'ERR_JOB_FAILED'`. Works across copies of the package, where `instanceof` does not. */
export function hasCode(error: unknown, code: string): error is MillraceError {
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === code
}

/** The text of anything that was thrown. Never throws itself. */
export function messageOf(error: unknown): string {
  return textOf(() => (isError(error) ? error.message : error)) ?? UNREADABLE
}

/** Any value as text for a message. Never throws. */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return textOf(() => JSON.stringify(value) ?? String(value)) ?? withArticle(typeof value)
}

/** `'a Date'`, `'an Error'`. */
export function withArticle(noun: string): string {
  return /^([aeio]|un)/i.test(noun) ? `an ${noun}` : `a ${noun}`
}

/** How many errors are kept with a job, the newest last. */
export const KEPT_ERRORS = 5
const KEPT_TEXT = 4096

const UNREADABLE = '(a value without text)'

/** What is stored of a thrown value: name, message and stack, together at most 4 KiB of characters. Never throws. */
export function toJobError(thrown: unknown, at: number): JobError {
  const error = isError(thrown)
    ? thrown
    : new Error(typeof thrown === 'string' ? thrown : `A value that is no Error was thrown: ${shown(thrown)}`)
  const name = (textOf(() => error.name) || 'Error').slice(0, 100)
  const message = (textOf(() => error.message) ?? UNREADABLE).slice(0, 1500)
  const stack = textOf(() => error.stack ?? '') || undefined
  const cause =
    textOf(() => (isError(error.cause) ? `\nCaused by: ${error.cause.stack ?? String(error.cause)}` : '')) ?? ''
  const code = textOf(() =>
    typeof (error as { code?: unknown }).code === 'string' ? (error as { code?: unknown }).code : '',
  )
  return {
    name,
    message,
    ...(stack && { stack: (stack + cause).slice(0, KEPT_TEXT - 1700) }),
    ...(code && { code: code.slice(0, 100) }),
    at,
  }
}

/** An `Error` made again from what was stored. */
export function errorFrom(stored: JobError): Error {
  const error = new Error(stored.message)
  error.name = stored.name
  if (stored.stack !== undefined) error.stack = stored.stack
  if (stored.code !== undefined) Object.assign(error, { code: stored.code })
  return error
}

/** Errors of another realm (node:vm, jest) are no `instanceof Error`. */
function isError(value: unknown): value is Error {
  try {
    return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]'
  } catch {
    return false // a proxy that refuses to say
  }
}

/** The text that `read` gives, or `undefined` where it throws: getters and toString() of thrown values may. */
function textOf(read: () => unknown): string | undefined {
  try {
    return String(read())
  } catch {
    return undefined
  }
}
