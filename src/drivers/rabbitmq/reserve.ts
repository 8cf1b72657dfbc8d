// Keeps the places that more urgent jobs have left for those that follow upon them: the broker gives the next one when it
// has read the acknowledgement, and until then a less urgent job must not take its place.

/** The places that the jobs of one level have left. */
export interface Reserve {
  /** A job has left its place, and the broker may have another one. */
  left(): void
  /** A job has come and taken a place. */
  taken(): void
  /** How many places are kept now. */
  kept(): number
  /** Nothing is kept any more. */
  clear(): void
}

/** @param ms a place is kept for so many milliseconds at least, and for twice as many at most */
export function createReserve(ms: number, now: () => number = () => performance.now()): Reserve {
  // Left since the last count was taken, in this span of time, and in the one before.
  let [fresh, young, old] = [0, 0, 0]
  let since = now()

  return {
    left() {
      fresh += 1
    },
    taken() {
      // Of a stream in which each follows upon another, the places that nobody took at first must still become free.
      if (fresh > 0) fresh -= 1
      else if (young > 0) young -= 1
      else if (old > 0) old -= 1
    },
    kept() {
      if (fresh + young + old === 0) return 0
      const age = now() - since
      if (age >= ms) {
        old = age >= 2 * ms ? 0 : young
        young = 0
        since = now()
      }
      young += fresh
      fresh = 0
      return old + young
    },
    clear() {
      fresh = young = old = 0
    },
  }
}
