// When attempts time out: one timer for all of them, because a timer for each job costs more than most handlers do.
import { LONGEST_TIMER } from '../core/duration.js'

export interface Expiring {
  /** On the clock of performance.now(), in milliseconds. */
  readonly deadline: number
  /** Called once, at or after the deadline, unless it was removed before. */
  expire(): void
}

export interface Deadlines {
  add(one: Expiring): void
  delete(one: Expiring): void
  /** The latest deadline of all; `undefined` when there is none. */
  latest(): number | undefined
}

export function createDeadlines(): Deadlines {
  const all = new Set<Expiring>()
  let timer: NodeJS.Timeout | undefined
  /** When the timer fires; what ends before its time does not set it back. */
  let next = Infinity

  function aim(deadline: number): void {
    if (deadline >= next) return
    clearTimeout(timer)
    next = deadline
    // The worker's beat keeps the process alive, not this.
    timer = setTimeout(look, Math.min(LONGEST_TIMER, Math.max(0, Math.ceil(deadline - performance.now())))).unref()
  }

  function look(): void {
    next = Infinity
    const now = performance.now()
    let earliest = Infinity
    for (const one of all) {
      if (one.deadline > now) earliest = Math.min(earliest, one.deadline)
      else {
        all.delete(one)
        one.expire()
      }
    }
    if (earliest < Infinity) aim(earliest)
  }

  return {
    add(one) {
      all.add(one)
      aim(one.deadline)
    },
    delete: (one) => void all.delete(one),
    latest() {
      let latest: number | undefined
      for (const { deadline } of all) latest = Math.max(latest ?? 0, deadline)
      return latest
    },
  }
}
