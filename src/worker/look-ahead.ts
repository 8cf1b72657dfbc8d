// How many jobs to hold ready beyond the free slots: enough that quick handlers need not wait for the store, and none that
// slow handlers would keep from an idle worker.

export interface LookAhead {
  /** Jobs to take beyond the slots, for now. */
  readonly jobs: number
  /** A handler took so many milliseconds. */
  took(ms: number): void
  /** Jobs taken ahead did not get their slot in time: take none until a handler has ended. */
  stalled(): void
}

/** Jobs taken ahead should have begun after about so many milliseconds. */
const HORIZON = 5
const MOST = 1500
/** Weight of the newest handler in the moving average; a slow one counts at once, for it may be the first of many. */
const NEWEST = 0.05

export function createLookAhead(concurrency: number): LookAhead {
  let average = Infinity
  return {
    get jobs() {
      return Math.min(MOST, Math.floor((concurrency * HORIZON) / Math.max(average, 0.01)))
    },
    stalled() {
      average = Infinity
    },
    took(ms) {
      average = average === Infinity || ms > average * 20 ? ms : average + NEWEST * (ms - average)
    },
  }
}
