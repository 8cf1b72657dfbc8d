// One job in one worker's hands, and what may be said and done with it.
import type { DeadReason, JobError } from '../core/errors.js'
import type { Envelope } from '../core/envelope.js'

/** What a handler says while it works. */
export interface Note {
  readonly progress?: number
  readonly note?: string
  readonly log?: readonly LogLine[]
}

/** A line that a handler logged: one line of text, its fields written out as `key=value`. */
export interface LogLine {
  readonly at: number
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
  /** The attempt that said it. */
  readonly attempt: number
}

/** Why a delivery is not ours any more (`lease`, `link`), or should end (`cancelled`: still ours to settle). */
export type LostReason = 'lease' | 'link' | 'cancelled'
/** Why a job is given back. */
export type ReleaseReason = 'stop' | 'later' | 'no-handler' | 'limit'

/**
 * One envelope in one worker's hands. One settling verb (ack, retry, dead, release) may be called, once. Whoever wraps
 * it uses `wrapDelivery`.
 */
export interface Delivery<Tx = never> {
  readonly envelope: Envelope
  /** Fencing token: grows with every hand-over and is never reset. */
  readonly run: number
  /** Number of this attempt, 1 the first. */
  readonly attempt: number
  readonly crashes: number
  /** A worker died with this job in hand: call `start()` before the handler. */
  readonly suspect: boolean
  /** Of earlier attempts, where they travel with the job. */
  readonly errors?: readonly JobError[]
  /** It was given back before, for this reason, again and again since then; not if nobody looked at it for long. */
  readonly blocked?: { readonly why: ReleaseReason; readonly since: number } | undefined
  /**
   * The handler is about to begin. `false`: this process did not answer, and the driver has given the job back in its
   * place; then nothing may be done with it any more. A driver that never does that leaves it out.
   */
  begin?(): boolean
  /** Write that the handler begins. Only suspects need it, and only a written start can count as a crash. */
  start(): Promise<void>
  /** Called at most once for each reason, also when it happened before. */
  onLost(fn: (why: LostReason) => void): void
  /** Progress from 0 to 1, a short note, and lines of the handler's log. Coalesced, best effort. */
  note(o: Note): void
  /**
   * Done. Result, state and children are kept in one step where the driver can. `elsewhere`: it did not run, another driver
   * has it now; a broker without memory forgets it, and sends no reply.
   */
  ack(o?: {
    readonly result?: string
    readonly tx?: Tx
    readonly publish?: readonly Envelope[]
    readonly elsewhere?: true
  }): Promise<void>
  /** Failed: again, no sooner than after `delay`. Spends an attempt. */
  retry(o: { readonly delay: number; readonly error: JobError }): Promise<void>
  /** Failed for good: kept where an operator finds it. */
  dead(o: { readonly reason: DeadReason; readonly error: JobError }): Promise<void>
  /** Not run after all: given back unspent. */
  release(o?: { readonly delay?: number; readonly why?: ReleaseReason }): Promise<void>
}
