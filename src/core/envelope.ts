// What travels through a broker. Drivers store it and hand it over; they never look inside `body`.

/** Plain text headers. Names beginning with `millrace-` are ours; `traceparent` and `tracestate` follow W3C Trace Context. */
export type HeaderMap = Readonly<Record<string, string>>
/** Shared by all jobs that have none. */
export const NO_HEADERS: HeaderMap = Object.freeze({})

/** Until when a unique key is held. A number is milliseconds after enqueue, and at least until the job has finished. */
export interface UniqueClaim {
  readonly key: string
  readonly until: 'started' | 'finished' | number
}

/** Immutable once published. Times are epoch milliseconds, durations milliseconds. */
export interface Envelope {
  /** Chosen by the client (UUIDv7 unless the caller gave one): publishing the same id again is the same job. */
  readonly id: string
  /** Where it waits. */
  readonly queue: string
  /** Name of the task. Drivers filter by it, nothing more. */
  readonly name: string
  /** The input as text, JSON unless a header `content-type` says otherwise; `''` is no input. */
  readonly body: string
  readonly headers: HeaderMap
  /** 0 to 9, 9 first. */
  readonly priority: number
  readonly enqueuedAt: number
  /** Not handed over before this time, by the driver's clock. */
  readonly notBefore?: number
  /** Not worth running after this time. */
  readonly expiresAt?: number
  /** At most one unfinished job per task name and key. */
  readonly unique?: UniqueClaim
  readonly group?: string
  /** How long the finished job is kept. `completed` also holds for cancelled jobs. */
  readonly keep: { readonly completed: number; readonly dead: number }
}

/** Header that carries the id of the job whose handler enqueued this one. */
export const PARENT_HEADER = 'millrace-parent'

/** Header of a job whose end is told to the process that enqueued it. */
export const REPLY_HEADER = 'millrace-reply'
