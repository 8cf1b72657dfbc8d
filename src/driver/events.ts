// The ports for events: published once, copied to every subscription, kept in a log. And the one way in which a copy is made.
import type { Envelope, HeaderMap } from '../core/envelope.js'
import { subscriptionTask } from '../core/event.js'
import { DEFAULT_PRIORITY } from '../core/job.js'
import type { Receipt } from './receipts.js'

/** An event on its way. Immutable once published. Times are epoch milliseconds. */
export interface EventEnvelope {
  /** Unique in the store: publishing the same id again is the same event. */
  readonly id: string
  readonly name: string
  /** The CloudEvent, as JSON text. */
  readonly body: string
  /** Carried by every copy. */
  readonly headers: HeaderMap
  readonly publishedAt: number
  /** How long finished copies are kept, and the event in the log; milliseconds. */
  readonly keep: { readonly completed: number; readonly dead: number; readonly log: number }
}

/** Who gets copies of which events, and where they wait. */
export interface SubscriptionSpec {
  readonly name: string
  readonly queue: string
  /** An event is copied once if any of them matches its name; `matchesPattern` of core says so. */
  readonly patterns: readonly string[]
}

export interface Subscription extends SubscriptionSpec {
  /** Of the newest declaration. */
  readonly declaredAt: number
}

/** Publishing and subscribing. */
export interface Events<Tx = never> {
  /** Make the subscription and its queue exist. The newest declaration of a name wins; what waits already stays where it is. */
  declare(o: SubscriptionSpec): Promise<void>
  /** In the order of their names. */
  subscriptions(): Promise<readonly Subscription[]>
  /** No copies from now on; those that wait stay. `false`: there is none of this name. */
  remove(o: { readonly name: string }): Promise<boolean>
  /**
   * Keep the events, and a copy (`copyFor`) of each for every subscription that matches, in one step; one receipt each, in
   * order. Resolves once they are durable. An id that is known is a duplicate, and copied to nobody; an id that belongs to
   * an event of another name is a JobConflictError. A copy whose id is known as a job is not made again. With `tx` as
   * `Broker.publish`.
   */
  publish(o: { readonly events: readonly EventEnvelope[]; readonly tx?: Tx }): Promise<readonly Receipt[]>
}

/** An event in the log. */
export interface KeptEvent extends EventEnvelope {
  /** Its place in the log: grows with every event, and may have gaps. */
  readonly n: number
}

/** Which events of the log. Every part given must hold. */
export interface EventQuery {
  readonly pattern?: string
  /** Published at or after. */
  readonly since?: number
  /** Published before. */
  readonly before?: number
}

/** Memory of events. */
export interface EventLog {
  /** In the order of the log, those behind place `after` (default: from the start). At most `limit`. */
  list(o: EventQuery & { readonly after?: number; readonly limit: number }): Promise<readonly KeptEvent[]>
  /** The place of the newest event; 0 when there is none. */
  end(): Promise<number>
  /**
   * Copy events that match the subscription to it once more, in the order of the log, up to the place `upTo`; at most `limit`
   * with one call. The id of such a copy ends in `/<replay>`, so that the same call again makes no second one. Left out are
   * events of which a copy, also of an earlier replay, has not finished yet. `next`: the place to go on behind, when there may
   * be more.
   */
  replay(
    o: EventQuery & {
      readonly subscription: string
      readonly replay: string
      readonly after?: number
      readonly upTo?: number
      readonly limit: number
    },
  ): Promise<{ readonly copied: number; readonly next?: number }>
  /** Remove events whose time is over, at most `limit`; how many that was. */
  prune(o: { readonly limit: number }): Promise<number>
}

/** The job that carries an event to a subscription. */
export function copyFor(
  event: EventEnvelope,
  subscription: SubscriptionSpec,
  o: { readonly now: number; readonly replay?: string },
): Envelope {
  const id = `${event.id}/${subscription.name}`
  return {
    id: o.replay === undefined ? id : `${id}/${o.replay}`,
    queue: subscription.queue,
    name: subscriptionTask(subscription.name),
    body: event.body,
    headers: event.headers,
    priority: DEFAULT_PRIORITY,
    enqueuedAt: o.now,
    keep: { completed: event.keep.completed, dead: event.keep.dead },
  }
}
