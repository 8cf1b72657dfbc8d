// When to try again: how many attempts, and how long to wait before the next.
import { toMs, type Duration } from './duration.js'
import { ConfigurationError, shown } from './errors.js'

/** How long to wait between attempts; made by `exponential` or `fixed`. */
export interface Backoff {
  readonly kind: 'backoff'
}

/** How often a task is tried. `maxAttempts` counts the first try too; default 10. `backoff` may be a function. */
export type Retry = {
  maxAttempts?: number
  backoff?: Backoff | ((attempt: number, error: Error) => Duration)
}

/** A retry rule with every default filled in; delays in milliseconds. */
export interface RetryPolicy {
  readonly maxAttempts: number
  readonly backoff: Backoff | ((attempt: number, error: Error) => Duration)
}

interface Exponential extends Backoff {
  readonly form: 'exponential'
  readonly first: number
  readonly factor: number
  readonly max: number
  readonly jitter: 'full' | 'none'
}

interface Fixed extends Backoff {
  readonly form: 'fixed'
  readonly delay: number
}

/**
 * Wait longer after each attempt: `first`, then `factor` (default 2) times as long, at most `max` (default 1 h).
 * With full jitter (default) the wait is drawn between 0 and that, so that jobs that failed together spread out.
 */
export function exponential(
  first: Duration,
  o: { max?: Duration; factor?: number; jitter?: 'full' | 'none' } = {},
): Backoff {
  const factor = o.factor ?? 2
  if (!(factor >= 1 && factor <= 100)) throw new ConfigurationError(`factor: ${factor} is not between 1 and 100.`)
  const jitter = o.jitter ?? 'full'
  if (jitter !== 'full' && jitter !== 'none')
    throw new ConfigurationError(`jitter: ${shown(jitter)} is neither 'full' nor 'none'.`)
  const backoff: Exponential = {
    kind: 'backoff',
    form: 'exponential',
    first: toMs(first, 'first'),
    factor,
    max: toMs(o.max ?? '1h', 'max'),
    jitter,
  }
  return backoff
}

/** Wait the same time after each attempt. */
export function fixed(delay: Duration): Backoff {
  const backoff: Fixed = { kind: 'backoff', form: 'fixed', delay: toMs(delay, 'delay') }
  return backoff
}

/** The default: ten attempts over an outage of hours. */
export const DEFAULT_RETRY: RetryPolicy = {
  maxAttempts: 10,
  backoff: exponential('2s', { factor: 3, max: '1h' }),
}

/** The full rule for what a user gave; `false` means one attempt. */
export function retryPolicy(retry: Retry | false | undefined): RetryPolicy {
  if (retry === false) return { ...DEFAULT_RETRY, maxAttempts: 1 }
  if (retry !== undefined && (typeof retry !== 'object' || retry === null))
    throw new ConfigurationError(`retry: ${shown(retry)} is neither \`{ maxAttempts, backoff }\` nor false.`)
  const maxAttempts = retry?.maxAttempts ?? DEFAULT_RETRY.maxAttempts
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 1_000_000)
    throw new ConfigurationError(`retry.maxAttempts: ${maxAttempts} is no whole number of 1 or more.`)
  const backoff = retry?.backoff ?? DEFAULT_RETRY.backoff
  if (typeof backoff !== 'function' && backoff.kind !== 'backoff')
    throw new ConfigurationError(
      `retry.backoff: ${shown(backoff)} is neither made by exponential() or fixed() nor a function.`,
    )
  return { maxAttempts, backoff }
}

/**
 * Milliseconds to wait after attempt number `attempt` (1 is the first) failed.
 * @param random a number from 0 to 1, drawn anew for each call.
 */
export function retryDelay(policy: RetryPolicy, attempt: number, error: Error, random: number): number {
  const { backoff } = policy
  if (typeof backoff === 'function') return toMs(backoff(attempt, error), 'retry.backoff')
  const rule = backoff as Exponential | Fixed
  if (rule.form === 'fixed') return rule.delay
  const power = Math.min(rule.factor ** (attempt - 1), Number.MAX_VALUE) // 0 times Infinity would be NaN
  const longest = Math.min(rule.max, rule.first * power)
  return Math.round(rule.jitter === 'full' ? random * longest : longest)
}
