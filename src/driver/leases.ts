// Who is dead? A worker whose beat counter has not moved for one lease, watched on our own monotonic clock.

export interface Beat {
  readonly worker: string
  /** Grows with each beat of that worker. */
  readonly count: number
}

export interface LeaseWatch {
  /**
   * Look at everybody's counters; answers those who are dead. Only a watcher that itself looks without a gap may judge:
   * after a gap (a paused process, an outage, a laptop asleep) everybody starts with one fresh lease.
   */
  look(beats: readonly Beat[]): readonly Beat[]
}

/**
 * @param lease milliseconds of silence that mean death
 * @param gap milliseconds between two looks after which earlier looks count for nothing
 */
export function createLeaseWatch(o: {
  readonly lease: number
  readonly gap: number
  /** Monotonic milliseconds. */
  now(): number
}): LeaseWatch {
  let seen = new Map<string, { count: number; since: number }>()
  let lastLook = -Infinity

  return {
    look(beats) {
      const now = o.now()
      if (now - lastLook > o.gap) seen = new Map()
      lastLook = now
      const next: typeof seen = new Map()
      const dead: Beat[] = []
      for (const { worker, count } of beats) {
        const before = seen.get(worker)
        const mark = before?.count === count ? before : { count, since: now }
        next.set(worker, mark)
        if (now - mark.since >= o.lease) dead.push({ worker, count })
      }
      seen = next
      return dead
    },
  }
}

/** How often a worker beats for a given lease: twice a second, oftener when the lease is short. */
export function beatInterval(lease: number): number {
  return Math.min(500, Math.ceil(lease / 6))
}

/** A gap in a watcher's own looks that makes it distrust what it saw before. */
export function watchGap(lease: number): number {
  return Math.max(beatInterval(lease) * 3, Math.ceil(lease / 3))
}
