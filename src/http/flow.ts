// How much goes on at once, and for how long it may: what makes the gateway say "not now" instead of falling over.
import { Problem, stopping, unanswered, unavailable } from './problem.js'

/** Bounds of a gateway. */
export interface FlowLimits {
  readonly maxInFlight: number
  /** How long the store may take, in milliseconds. */
  readonly timeout: number
}

export interface Flow {
  readonly inFlight: number
  readonly waiting: number
  /** Work on a request. @throws Problem 503 while too many are worked on, or the gateway stops */
  work<T>(call: () => Promise<T>): Promise<T>
  /**
   * Wait on behalf of a request. `undefined` when it does not come to it, or not to its end: too many wait already, the
   * gateway stops, or whoever asked is gone.
   */
  wait<T>(asker: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T | undefined>
  /** What the store answers to a look. @throws Problem 503 when it does not come in time */
  read<T>(call: Promise<T>): Promise<T>
  /** What the store answers to a write. @throws Problem 503, outcome `unknown`, when it does not come in time */
  write<T>(call: Promise<T>): Promise<T>
  /** Every wait ends now, and no request is taken on. */
  stop(): void
}

export function createFlow({ maxInFlight, timeout }: FlowLimits): Flow {
  let inFlight = 0
  let stopped = false
  const waits = new Set<AbortController>()

  async function inTime<T>(call: Promise<T>, problem: () => Problem): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(problem()), timeout)
    })
    try {
      return await Promise.race([call, late])
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    get inFlight() {
      return inFlight
    },
    get waiting() {
      return waits.size
    },
    async work(call) {
      if (stopped) throw stopping()
      if (inFlight - waits.size >= maxInFlight)
        throw new Problem('ERR_OVERLOADED', `${maxInFlight} requests are being worked on. Try again in a moment.`, {
          headers: { 'retry-after': '1' },
        })
      inFlight += 1
      try {
        return await call()
      } finally {
        inFlight -= 1
      }
    },
    async wait(asker, call) {
      if (stopped || asker.aborted || waits.size >= maxInFlight) return undefined
      const ending = new AbortController()
      const end = () => ending.abort()
      asker.addEventListener('abort', end, { once: true })
      waits.add(ending)
      try {
        return await call(ending.signal)
      } catch (error) {
        if (ending.signal.aborted) return undefined
        throw error
      } finally {
        waits.delete(ending)
        asker.removeEventListener('abort', end)
      }
    },
    read: (call) => inTime(call, unanswered),
    write: (call) => inTime(call, () => unavailable('unknown')),
    stop() {
      stopped = true
      for (const wait of waits) wait.abort()
    },
  }
}
