// One attempt of a job: everything that is the user's code (schemas, middleware, handler), a timeout beside it, and what came
// of it. It settles nothing.
import { encode, decode } from '../core/codec.js'
import { ConfigurationError, JobTimeoutError } from '../core/errors.js'
import { check, validationError } from '../core/schema.js'
import { specOf } from '../core/task.js'
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
  /** Asked once more before the handler: `false` when the job was cancelled or is to be given back. */
  mayBegin(): boolean
  /** Called at the timeout, before the outcome. */
  onTimeout(error: JobTimeoutError): void
}

export interface Attempt {
  /** The first thing that decides the attempt; the user's code may go on. */
  readonly outcome: Promise<Outcome>
  /** Resolves when the user's code itself has ended, whatever came of it. */
  readonly ended: Promise<void>
  /** Decide the attempt now: the job is given back. */
  giveBack(): void
}

export function startAttempt(o: AttemptOptions): Attempt {
  let decide!: (outcome: Outcome) => void
  const outcome = new Promise<Outcome>((resolve) => (decide = resolve))
  const { timeout } = specOf(o.bound.task)
  const timer =
    timeout === false
      ? undefined
      : setTimeout(() => {
          const error = new JobTimeoutError(o.bound.task.name, timeout)
          o.onTimeout(error)
          decide({ kind: 'timeout', error })
        }, timeout)
  const ended = usersCode(o).then(decide, (error: unknown) => decide({ kind: 'threw', error }))
  void outcome.then(() => clearTimeout(timer))
  return { outcome, ended, giveBack: () => decide({ kind: 'given-back' }) }
}

async function usersCode(o: AttemptOptions): Promise<Outcome> {
  const spec = specOf(o.bound.task)
  let input: unknown
  try {
    const what = `Input of task "${o.bound.task.name}"`
    const checked = await check(spec.input, decode(o.body, what))
    if ('issues' in checked) throw validationError(what, checked.issues)
    input = checked.value
  } catch (error) {
    return { kind: 'invalid', reason: 'invalid-input', error }
  }
  if (!o.mayBegin()) return { kind: 'given-back' }
  const value = await throughMiddleware(o, input)
  if (spec.output === undefined) return { kind: 'done', result: undefined } // a task without output keeps none
  try {
    const what = `Result of task "${o.bound.task.name}"`
    const checked = await check(spec.output, value)
    if ('issues' in checked) throw validationError(what, checked.issues)
    return { kind: 'done', result: encode(value, what) }
  } catch (error) {
    return { kind: 'invalid', reason: 'invalid-output', error }
  }
}

async function throughMiddleware(o: AttemptOptions, input: unknown): Promise<unknown> {
  if (o.middleware.length === 0) return o.bound.fn(input, o.context)
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
