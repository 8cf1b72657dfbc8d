// The memory of jobs: what a store knows of each, how they are found, and the operator's verbs.
import type { DeadReason, JobError } from '../core/errors.js'
import type { Envelope } from '../core/envelope.js'
import type { JobState } from '../core/job.js'
import type { LogLine, ReleaseReason } from './delivery.js'

/** A job as the store remembers it. */
export interface JobRecord {
  readonly envelope: Envelope
  readonly state: JobState
  readonly reason?: DeadReason
  readonly run: number
  /** Attempts spent, and the one under way. */
  readonly attempt: number
  readonly crashes: number
  readonly suspect: boolean
  readonly progress?: number
  readonly note?: string
  readonly result?: string
  /** At most 5, the newest last. */
  readonly errors: readonly JobError[]
  readonly worker?: string
  /** When it became ready, or will. */
  readonly dueAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  /** A cancel was asked for while the job was active. */
  readonly cancelling: boolean
  /** Why it waits although it was handed over before. */
  readonly blocked?: { readonly why: ReleaseReason; readonly since: number }
}

/** The one way to point at jobs. Every part given must hold. */
export interface JobQuery {
  readonly ids?: readonly string[]
  readonly name?: string
  readonly queue?: string
  readonly states?: readonly JobState[]
  readonly reason?: DeadReason
  readonly group?: string
  /** Text that the name or message of its last error contains. */
  readonly error?: string
  /** Enqueued at or after. */
  readonly since?: number
  /** Enqueued before. */
  readonly before?: number
  /** In this worker's hands. */
  readonly worker?: string
  /** Only jobs that wait as suspects: a worker died with them in hand. */
  readonly suspect?: true
  /** Only jobs that were given back for this reason, and have not run since. */
  readonly blocked?: ReleaseReason
}

/** Outcome of moving one job; `conflict` names who holds its unique key. */
export interface Moved {
  readonly id: string
  readonly conflict?: string
}

/** Memory of jobs, and the operator's verbs. */
export interface Jobs {
  get(o: {
    readonly ids: readonly string[]
    /** Only those that have finished. */
    readonly finished?: boolean
  }): Promise<readonly JobRecord[]>
  /** Newest first; `cursor` goes on where a page ended. */
  list(
    o: JobQuery & { readonly limit: number; readonly cursor?: string },
  ): Promise<{ readonly jobs: readonly JobRecord[]; readonly cursor?: string }>
  count(o: JobQuery): Promise<number>
  /**
   * `ready`: dead jobs come back with fresh attempts, scheduled ones run now. `cancelled`: waiting jobs end at once, an
   * active one when its handler has ended. `deleted`: removed for good, except active ones. Looks at `limit` jobs at most;
   * `cursor` goes on where a call ended.
   */
  move(
    o: JobQuery & { readonly to: 'ready' | 'cancelled' | 'deleted'; readonly limit: number; readonly cursor?: string },
  ): Promise<{ readonly moved: readonly Moved[]; readonly cursor?: string }>
  /** Remove finished jobs whose retention is over, at most `limit`; how many that was. */
  prune(o: { readonly limit: number }): Promise<number>
  /**
   * Lines that its handlers logged, oldest first; `after` goes on behind a line's number. What was said before a settle is
   * kept with it or before it. Lines end with their job; an unknown job has none.
   */
  logs(o: { readonly id: string; readonly after?: number; readonly limit: number }): Promise<readonly KeptLine[]>
}

/** A line with its place: numbers grow within a job, and may have gaps. */
export interface KeptLine extends LogLine {
  readonly n: number
}
