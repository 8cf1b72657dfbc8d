// Keeps the places that more urgent jobs have left for those that follow upon them: the broker gives the next one when it
// has read the acknowledgement, and until then a less urgent job must not take its place.

/** Of one level: jobs that the broker may be about to give. */
export interface Reserve {
  /** Jobs may follow: one has left its place, or more were asked for. */
  expect(jobs: number): void
  /** A job has come. */
  came(): void
  /** How many places are kept for those to come. */
  kept(): number
  /** Nothing is kept any more. */
  clear(): void
}

/** @param ms a place is kept for so many milliseconds at least, and for twice as many at most */
export function createReserve(ms: number, now: () => number = () => performance.now()): Reserve {
  // Expected since this span of time began, and in the one before.
  let [young, old] = [0, 0]
  let since = now()

  function age(): void {
    const span = now() - since
    if (span < ms) return
    old = span >= 2 * ms ? 0 : young
    young = 0
    since = now()
  }

  return {
    expect(jobs) {
      age()
      young += jobs
    },
    came() {
      // Of a stream in which each follows upon another, the places that nobody took at first must still become free.
      if (young > 0) young -= 1
      else if (old > 0) old -= 1
    },
    kept() {
      if (young + old > 0) age()
      return young + old
    },
    clear() {
      young = old = 0
    },
  }
}
