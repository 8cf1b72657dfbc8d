// The port of a broker that keeps delayed jobs where nobody can list them: how they are counted, and taken out to be moved.
import type { Envelope } from '../core/envelope.js'

export interface Delayed {
  /** How many wait, for all queues together. Those that somebody has taken are not counted. */
  count(): Promise<number>
  /** Take those for these queues. What is taken waits no longer here until `end`, or until this process dies. */
  take(o: { readonly queues: readonly string[] }): Promise<DelayedTaking>
}

export interface DelayedTaking {
  /**
   * The next ones, in no order, with the time before which they must not run. None: nothing more has come for a while.
   * @throws BrokerUnavailableError when the link is lost, and with it what was taken
   */
  next(o: { readonly limit: number }): Promise<readonly Envelope[]>
  /** These are kept elsewhere now: remove them. */
  gone(o: { readonly ids: readonly string[] }): Promise<void>
  /** What was taken and is not gone waits again, as if nothing had been. Idempotent. */
  end(): Promise<void>
}
