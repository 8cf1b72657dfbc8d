// A token bucket for each caller, kept as one number: the time at which the bucket would be full again.
import { ConfigurationError, shown } from '../core/errors.js'
import { refuseUnknown } from '../core/task.js'
import { Problem } from './problem.js'

/** How many requests a caller may make. */
export interface RateLimit {
  /** In the long run. */
  perSecond: number
  /** At once, after a pause; default twice `perSecond`. */
  burst?: number
}

/** Callers that are told apart; when there are more, the others share a bucket. */
const MOST_CALLERS = 10_000
const SWEEP_EVERY = 1_000
const OTHERS = ''

/** Takes one request out of the caller's bucket. @throws Problem 429 when it is empty */
export type TakeOne = (caller: string) => void

/** @param now milliseconds of a clock that never goes back */
export function createRateLimit(limit: RateLimit | false, now: () => number = () => performance.now()): TakeOne {
  if (limit === false) return () => {}
  const { perRequest, depth } = checked(limit)
  /** When the bucket of a caller is full again; a bucket that is full is not kept. */
  const fullAt = new Map<string, number>()
  let sweptAt = -Infinity

  function keyOf(caller: string, at: number): string {
    if (fullAt.has(caller) || fullAt.size < MOST_CALLERS) return caller
    if (at - sweptAt >= SWEEP_EVERY) {
      sweptAt = at
      for (const [key, full] of fullAt) if (full <= at) fullAt.delete(key)
    }
    return fullAt.size < MOST_CALLERS ? caller : OTHERS
  }

  return (caller) => {
    const at = now()
    const key = keyOf(caller, at)
    const full = Math.max(fullAt.get(key) ?? at, at) + perRequest
    if (full - at <= depth) return void fullAt.set(key, full)
    const seconds = Math.max(1, Math.ceil((full - at - depth) / 1_000))
    throw new Problem('ERR_RATE_LIMITED', `Too many requests; try again in ${seconds} s.`, {
      headers: { 'retry-after': String(seconds) },
    })
  }
}

function checked(limit: RateLimit): { readonly perRequest: number; readonly depth: number } {
  if (typeof limit !== 'object' || limit === null)
    throw new ConfigurationError(`rateLimit: ${shown(limit)} is no limit. Give { perSecond: 100 }, or false.`)
  refuseUnknown('rateLimit', limit, ['perSecond', 'burst'])
  const { perSecond, burst = Math.max(1, perSecond * 2) } = limit
  if (typeof perSecond !== 'number' || !(perSecond > 0 && perSecond <= 1_000_000))
    throw new ConfigurationError(`rateLimit.perSecond: ${shown(perSecond)} is no number above 0, up to 1000000.`)
  if (typeof burst !== 'number' || !(burst >= 1 && burst <= 10_000_000))
    throw new ConfigurationError(`rateLimit.burst: ${shown(burst)} is no number from 1 to 10000000.`)
  const perRequest = 1_000 / perSecond
  return { perRequest, depth: perRequest * burst }
}
