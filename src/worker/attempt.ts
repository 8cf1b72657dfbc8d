// One attempt of a job: everything that is the user's code (schemas, middleware, handler), a timeout beside it, and what came
// of it. It settles nothing.
import { encode, decode } from '../core/codec.js'
import { ConfigurationError, JobTimeoutError } from '../core/errors.js'
import { check, validationError } from '../core/schema.js'
import { specOf, type TaskSpec } from '../core/task.js'
import type { Pulse } from '../driver/pulse.js'
import type { Deadlines, Expiring } from './deadlines.js'
import type { BoundHandler, Context, Middleware } from './types.js'

export type Outcome =
  | { readonly kind: 'done'; readonly result: string | undefined }
  | { readonly kind: 'invalid'; readonly reason: 'invalid-input' | 'invalid-output'; readonly error: unknown }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'timeout'; readonly error: JobTimeoutError }
  | { readonly kind: 'given-back' }

export interface AttemptOptions {
  readonly bound: BoundHandler
  /** The input as it travelled. */
  readonly body: string
  readonly context: Context
  readonly middleware: readonly Middleware[]
  readonly deadlines: Deadlines
  /** Hears when the handler's code begins and when it first waits for something. */
  readonly pulse: Pulse
  /** Asked once more before the handler: `false` when the job was cancelled or is to be given back. */
  mayBegin(): boolean
  /** Called at the timeout, before the outcome. */
  onTimeout(error: JobTimeoutError): void
}

/** A class for once: there is one for each job. */
export class Attempt implements Expiring {
  /** The first thing that decides the attempt; the user's code may go on. */
  readonly outcome: Promise<Outcome>
  /** Resolves when the user's code itself has ended, whatever came of it. */
  readonly ended: Promise<void>
  /** Milliseconds; `false`: none. */
  readonly timeout: number | false
  readonly deadline: number
  /** When it began, on the monotonic clock. */
  readonly since: number
  private readonly o: AttemptOptions
  private decide!: (outcome: Outcome) => void

  /** Begins at once. */
  constructor(o: AttemptOptions) {
    this.o = o
    const spec = specOf(o.bound.task)
    this.timeout = spec.timeout
    this.since = performance.now()
    this.deadline = spec.timeout === false ? Infinity : this.since + spec.timeout
    if (spec.timeout !== false) o.deadlines.add(this)
    this.outcome = new Promise((resolve) => (this.decide = resolve))
    o.pulse.enter(spec.timeout)
    this.ended = usersCode(o, spec).then(
      (outcome) => this.end(outcome),
      (error: unknown) => this.end({ kind: 'threw', error }),
    )
    o.pulse.left()
  }

  /** Decide the attempt now: the job is given back. */
  giveBack(): void {
    this.end({ kind: 'given-back' })
  }

  /** Its time is over. */
  expire(): void {
    const error = new JobTimeoutError(this.o.bound.task.name, this.timeout as number)
    this.o.onTimeout(error)
    this.decide({ kind: 'timeout', error })
  }

  private end(outcome: Outcome): void {
    if (this.timeout !== false) this.o.deadlines.delete(this)
    this.decide(outcome)
  }
}

async function usersCode(o: AttemptOptions, spec: TaskSpec): Promise<Outcome> {
  let input: unknown
  try {
    const what = `Input of task "${o.bound.task.name}"`
    const checking = check(spec.input, decode(o.body, what))
    const checked = checking instanceof Promise ? await checking : checking
    if ('issues' in checked) throw validationError(what, checked.issues)
    input = checked.value
  } catch (error) {
    return { kind: 'invalid', reason: 'invalid-input', error }
  }
  if (!o.mayBegin()) return { kind: 'given-back' }
  const value = await throughMiddleware(o, input)
  if (spec.output === undefined) return NO_RESULT // a task without output keeps none
  try {
    const what = `Result of task "${o.bound.task.name}"`
    const checking = check(spec.output, value)
    const checked = checking instanceof Promise ? await checking : checking
    if ('issues' in checked) throw validationError(what, checked.issues)
    return { kind: 'done', result: encode(value, what) }
  } catch (error) {
    return { kind: 'invalid', reason: 'invalid-output', error }
  }
}

const NO_RESULT: Outcome = { kind: 'done', result: undefined }

function throughMiddleware(o: AttemptOptions, input: unknown): unknown {
  return o.middleware.length === 0 ? o.bound.fn(input, o.context) : wrapped(o, input)
}

async function wrapped(o: AttemptOptions, input: unknown): Promise<unknown> {
  let handler: Promise<unknown> | undefined
  let ended = false
  let value: unknown
  const step = async (i: number): Promise<void> => {
    const middleware = o.middleware[i]
    if (middleware) return middleware(o.context, () => watched(step(i + 1)))
    if (handler) throw new ConfigurationError('A middleware called next() twice; the handler ran once.')
    handler = (async () => o.bound.fn(input, o.context))()
    try {
      value = await handler
    } finally {
      ended = true
    }
  }
  await step(0)
  if (!handler)
    throw new ConfigurationError('A middleware ended without calling next(). It must call next(), or throw.')
  // A middleware that did not wait for next() has not seen its end: what becomes of the job is the handler's.
  if (!ended) return handler
  return value
}

/** A promise that a middleware may forget without ending the process when it rejects. */
function watched(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}
