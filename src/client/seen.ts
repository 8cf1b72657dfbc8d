// What operators see of queues, events, subscriptions, schedules and workers.
import type { HeaderMap } from '../core/envelope.js'
import type { Message } from '../core/event.js'

export interface QueueInfo {
  readonly name: string
  readonly paused: boolean
  readonly ready: number
  /** Delayed, and never tried yet. */
  readonly scheduled: number
  /** Waiting for another attempt. */
  readonly retrying: number
  readonly active: number
  readonly dead: number
  /** How long the oldest ready job has been ready. */
  readonly oldestMs?: number
}

/** An event and who gets it. */
export interface EventInfo {
  /** Its name; or a pattern that none of the known events fits. */
  readonly name: string
  /** Subscriptions that get a copy. */
  readonly subscriptions: readonly string[]
  /** Tasks that a `route` queues for it. */
  readonly tasks: readonly string[]
}

/** Which events of the log. Every part given must hold. */
export interface EventFilter {
  /** `order.#` and the like. */
  pattern?: string
  /** Published at or after. */
  since?: Date
  /** Published before. */
  before?: Date
  /** Behind this place in the log. */
  after?: number
  /** Of a page, from 1 to 1000; default 50. */
  limit?: number
}

/** An event in the log: the message as it was published, its payload unparsed. */
export interface PublishedEvent extends Message {
  /** Its place in the log: grows with every event, and may have gaps. */
  readonly n: number
  /** What its copies' ids begin with: its id, and for an event of another source a hash of that source. */
  readonly storedId: string
  readonly headers: HeaderMap
  readonly publishedAt: Date
}

/** A subscription as an operator sees it; the counts are those of its queue. */
export interface SubscriptionInfo extends Omit<QueueInfo, 'name'> {
  readonly name: string
  readonly patterns: readonly string[]
  /** Where its copies wait: a queue of its own, unless its options name one. */
  readonly queue: string
  /** A live worker has it in its code. Left out where nobody can tell: by a broker without a store. */
  readonly declared?: boolean
  /** Of the newest declaration. */
  readonly declaredAt: Date
  /** The task that it queues, if a `route` made it. */
  readonly task?: string
}

/** A schedule as an operator sees it. Durations in milliseconds. */
export interface ScheduleInfo {
  readonly name: string
  /** Of its rule one of `cron` (with its `timezone`), `every` and `at` is there. */
  readonly cron?: string
  readonly timezone?: string
  readonly every?: number
  readonly at?: Date
  readonly missed: 'skip' | 'once' | 'all'
  readonly overlap: 'allow' | 'skip'
  readonly jitter: number
  /** What it enqueues in the end; `schedule:<name>` where its handler is a function. */
  readonly task: string
  /** Where the jobs of its ticks wait. */
  readonly queue: string
  /** The next tick; left out when there is none any more. While `paused` or not `live` nobody makes it. */
  readonly next?: Date
  /** The last tick that was made. */
  readonly previous?: Date
  readonly paused: boolean
  /** Declared by the code of workers, or made with `client.schedules.create`. */
  readonly from: 'code' | 'runtime'
  /** `false`: it is from code, and no live worker declares it, so it makes no ticks. */
  readonly live: boolean
}

/** A worker as an operator sees it. Durations in milliseconds. */
export interface WorkerStatus {
  readonly id: string
  readonly pid: number
  readonly host: string
  readonly queues: readonly string[]
  /** Tasks it has handlers for. */
  readonly tasks: readonly string[]
  /** Schedules that its code declares. */
  readonly schedules: readonly string[]
  /** Its slots: how many handlers may run at once. */
  readonly concurrency: number
  /** Slots in use. */
  readonly running: number
  /**
   * `busy`: no slot is free. `blocked`: its event loop does not answer. `stopping`: it takes nothing new. `silent`: it was
   * seen not to beat, so its process is gone, frozen, or blocked; after the lease its jobs go to other workers.
   */
  readonly state: 'ok' | 'busy' | 'blocked' | 'stopping' | 'silent'
  /** For how long its event loop has not answered. */
  readonly blockedMs?: number
  /** Share of the last half second in which its event loop was busy, 0 to 1. */
  readonly load: number
  /** The longest that its event loop kept anybody waiting in the last half second. */
  readonly loopDelayMs: number
  /** Handlers that went on after their timeout and grace. */
  readonly abandoned: number
  /** Waits for a lock of the store in the last minute, where the driver counts them, and the longest. */
  readonly lockWaits?: { readonly count: number; readonly longestMs: number }
  /** What it runs, at most 20 jobs, those that began first. `suspect`: a worker died with this job in hand before. */
  readonly jobs: readonly {
    readonly id: string
    readonly name: string
    readonly attempt: number
    readonly suspect: boolean
    readonly since: Date
  }[]
  readonly startedAt: Date
  /** Of its last beat, by its own clock. */
  readonly beatAt: Date
}
