// One try of one handler: middleware around it, a timeout beside it, and what came of it. It settles nothing.
import { ConfigurationError, JobTimeoutError } from '../core/errors.js'
import type { BoundHandler, Context, Middleware } from './types.js'

export type Outcome =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'timeout'; readonly error: JobTimeoutError }
  | { readonly kind: 'given-back' }

export interface Attempt {
  /** The first thing that decides the attempt; the handler may go on. */
  readonly outcome: Promise<Outcome>
  /** Resolves when the handler itself has ended, whatever came of it. */
  readonly ended: Promise<void>
  /** Decide the attempt now: the job is given back. */
  giveBack(): void
}

export function startAttempt(o: {
  readonly bound: BoundHandler
  readonly input: unknown
  readonly context: Context
  readonly middleware: readonly Middleware[]
  readonly timeout: number | false
  /** Called at the timeout, before the outcome. */
  onTimeout(error: JobTimeoutError): void
}): Attempt {
  let decide!: (outcome: Outcome) => void
  const outcome = new Promise<Outcome>((resolve) => (decide = resolve))
  const timer =
    o.timeout === false
      ? undefined
      : setTimeout(() => {
          const error = new JobTimeoutError(o.bound.task.name, o.timeout as number)
          o.onTimeout(error)
          decide({ kind: 'timeout', error })
        }, o.timeout)
  const ended = runThrough(o).then(
    (value) => decide({ kind: 'returned', value }),
    (error: unknown) => decide({ kind: 'threw', error }),
  )
  void outcome.then(() => clearTimeout(timer))
  return { outcome, ended, giveBack: () => decide({ kind: 'given-back' }) }
}

async function runThrough(o: {
  readonly bound: BoundHandler
  readonly input: unknown
  readonly context: Context
  readonly middleware: readonly Middleware[]
}): Promise<unknown> {
  if (o.middleware.length === 0) return o.bound.fn(o.input, o.context)
  let value: unknown
  let reached = false
  const step = async (i: number): Promise<void> => {
    const middleware = o.middleware[i]
    if (middleware) return middleware(o.context, () => step(i + 1))
    if (reached) throw new ConfigurationError('A middleware called next() twice; the handler ran once.')
    reached = true
    value = await o.bound.fn(o.input, o.context)
  }
  await step(0)
  if (!reached)
    throw new ConfigurationError('A middleware ended without calling next(). It must call next(), or throw.')
  return value
}
