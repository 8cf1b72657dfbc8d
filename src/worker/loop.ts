// How busy this process's event loop is, and what kept it when it did not answer: a handler that computes without a pause
// stops every timer, cancel and timeout beside it.
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { formatDuration } from '../core/duration.js'
import type { RunningJob } from '../driver/driver.js'
import type { Logger } from '../observe/log.js'

export interface LoopWatch {
  /** Since the last call: the share of time in which the loop was busy, and the longest wait in milliseconds. */
  sample(): { readonly load: number; readonly loopDelay: number }
  stop(): void
}

/** Delays are measured with a timer that fires so often, in milliseconds. */
const RESOLUTION = 20
const LOOK_EVERY = 250
/** Over a shorter time, two beats that follow each other, a share says nothing. */
const SHORTEST = 100
/** Blocked for so long, the log names what ran. */
const TOO_LONG = 1_000
/** Jobs that a line names. */
const NAMED = 5

/** @param jobs what runs now */
export function watchLoop(o: { readonly log: Logger; jobs(): readonly RunningJob[] }): LoopWatch {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  delays.enable()
  let sampled = { at: performance.now(), use: performance.eventLoopUtilization() }
  let last = { load: 0, loopDelay: 0 }
  /** After a reset the histogram leaves out the first wait; what our own timer waited stands in for it. */
  let longest = 0
  let seen = { at: performance.now(), use: performance.eventLoopUtilization(), jobs: o.jobs() }

  function look(): void {
    const before = seen
    seen = { at: performance.now(), use: performance.eventLoopUtilization(), jobs: o.jobs() }
    // A process that was stopped or asleep was late, but not busy.
    const busy = seen.use.active - before.use.active
    const late = seen.at - before.at - LOOK_EVERY
    longest = Math.max(longest, late)
    if (late < TOO_LONG || busy < TOO_LONG) return
    const jobs = new Map([...before.jobs, ...seen.jobs].map((job) => [job.id, job]))
    o.log.warn(
      { blocked: formatDuration(Math.round(Math.min(late, busy))), running: named([...jobs.values()]) },
      'The event loop was blocked: no timeout, cancel or other job of this process went on meanwhile. A handler that computes for long must pause, or run in a thread of its own: docs/operating.md#blocked.',
    )
  }

  const timer = setInterval(look, LOOK_EVERY).unref()
  return {
    sample() {
      const now = { at: performance.now(), use: performance.eventLoopUtilization() }
      if (now.at - sampled.at < SHORTEST) return last
      const { utilization } = performance.eventLoopUtilization(now.use, sampled.use)
      sampled = now
      // What is measured is the time between two ticks, which is never less than the resolution.
      const measured = delays.max / 1e6 - RESOLUTION
      const loopDelay = Math.round(Math.max(0, measured, longest, now.at - seen.at - LOOK_EVERY))
      delays.reset()
      longest = 0
      last = { load: Math.round(utilization * 1000) / 1000, loopDelay }
      return last
    },
    stop() {
      clearInterval(timer)
      delays.disable()
    },
  }
}

function named(jobs: readonly RunningJob[]): string {
  if (jobs.length === 0) return 'no job'
  const shown = jobs
    .slice(0, NAMED)
    .map(({ name, id, since }) => `${name} ${id} for ${formatDuration(Date.now() - since)}`)
  return `${shown.join(', ')}${jobs.length > NAMED ? ` and ${jobs.length - NAMED} more` : ''}`
}
