// Schedules: rules that say when, and what their ticks are. Pure; times go in and come out.
import type { Duration } from './duration.js'
import type { TaskSpec } from './task.js'

/** When a schedule ticks, and what becomes of ticks that nobody could make in time. */
export type Rule = (
  | {
      /** Five fields (minute first) or six (second first), `L`, `W`, `#`, `@daily` and the like. */
      cron: string
      /** IANA time zone of the wall clock that the cron means; default UTC. */
      timezone?: string
      every?: never
      at?: never
    }
  | {
      /** A tick at each whole multiple of this since 1970-01-01T00:00Z: the same on every machine, after every restart. */
      every: Duration
      cron?: never
      timezone?: never
      at?: never
    }
  | {
      /** One tick, at this time. */
      at: Date
      cron?: never
      timezone?: never
      every?: never
    }
) & {
  /**
   * Ticks that passed while no worker could make them. `once` (default): the last of them is made up for. `all`: every one.
   * `skip`: none, but for the last if it is less than a minute late.
   */
  missed?: 'skip' | 'once' | 'all'
  /** `skip`: no job for a tick while the job of an earlier one has not finished. Default `allow`. */
  overlap?: 'allow' | 'skip'
  /** Each job is due so much later than its tick at most, by chance, so that many schedules do not start at once. */
  jitter?: Duration
}

/** One time at which a schedule is due. */
export interface Tick {
  time: Date
  /** Wall clock in the schedule's zone: `'2026-11-23T03:00:00'`. */
  local: string
  /** The tick before, if there was one. */
  previous?: Date
}

/** A schedule as code declares it. */
export interface ScheduleDeclaration {
  readonly name: string
  readonly rule: Rule
  /** What each tick enqueues. */
  readonly task: { readonly name: string; readonly spec: TaskSpec }
  /** The input of every job as JSON text (`''`: none); left out, the tick itself as JSON. */
  readonly body?: string
}
