// The port of a driver that jobs can leave for another one. A job that leaves is held first: put out of every worker's reach,
// where it stays also if whoever held it dies. Then it is published elsewhere, and only then it is gone from here. So it is
// never in two workers' hands, and a run that was killed between two of these steps is simply made again.
import type { Envelope } from '../core/envelope.js'

export interface Leaving {
  /**
   * Hold jobs of a queue that wait (ready or scheduled), at most `limit`, the first to run first. Answers those that this
   * call has held, as they are to be published elsewhere: with what is left of their delay, and without a unique key that
   * they held no more. A store that keeps a ledger for a broker makes the messages of these jobs stale in the same step.
   */
  hold(o: { readonly queue: string; readonly limit: number }): Promise<readonly Envelope[]>
  /** Jobs of a queue that somebody has held and that are not gone. `cursor` goes on where a page ended. */
  held(o: {
    readonly queue: string
    readonly limit: number
    readonly cursor?: string
  }): Promise<{ readonly envelopes: readonly Envelope[]; readonly cursor?: string }>
  /** These are kept elsewhere now: remove them, if they are held. */
  gone(o: { readonly queue: string; readonly ids: readonly string[] }): Promise<void>
  /** These stay after all: back into their queue, as they were. How many of them were held. */
  giveBack(o: { readonly queue: string; readonly ids: readonly string[] }): Promise<number>
}

/**
 * A held job waits in a queue of this name, which no worker reads: no queue of a user may have a slash in its name. So
 * operators find it as any other job.
 */
export const heldQueue = (queue: string): string => `held/${queue}`

/** The envelope of a held job, as it is to be published elsewhere. */
export function leavingEnvelope(o: {
  readonly envelope: Envelope
  readonly queue: string
  readonly dueAt: number
  readonly holdsKey: boolean
}): Envelope {
  const { unique, notBefore: _before, ...rest } = o.envelope
  return {
    ...rest,
    queue: o.queue,
    // Also when that time is over: it is what a queue is ordered by.
    ...(o.dueAt > rest.enqueuedAt && { notBefore: o.dueAt }),
    ...(unique && o.holdsKey && { unique }),
  }
}
