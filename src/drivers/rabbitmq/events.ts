// Events go to one topic exchange, by their names. The queue of a subscription is bound to it by the patterns, so that the broker
// makes the copies; who takes a message that came over the exchange makes it a job. Of several subscriptions with one queue each
// has a queue for its copies, since a queue gets a message once, by however many patterns.
import type { ConsumeMessage } from 'amqplib'
import { subscriptionTask } from '../../core/event.js'
import {
  copyFor,
  type EventEnvelope,
  type Events,
  type Subscription,
  type SubscriptionSpec,
} from '../../driver/events.js'
import type { Catalogue } from './catalogue.js'
import type { Declarer } from './declare.js'
import { checkFits, FRESH, isForeign, pack, unpack, type Foreign, type Unpacked } from './message.js'
import type { Outgoing, Publisher } from './publish.js'
import { copiesIn, declareSubscription, hasOwnQueue, type Names } from './topology.js'

export interface Subscribing extends Events {
  /** Names of the subscriptions that this process has declared for this queue, and that it does not belong to. */
  of(queue: string): readonly string[]
  /** Called when there is another. */
  onChange(listener: () => void): () => void
  /** Declare those of a queue again. */
  again(queue: string): Promise<void>
  /** The message in this queue is an event for the subscription that the queue belongs to. */
  isEvent(message: ConsumeMessage, queue: string): boolean
  /** The job that an event is to a subscription: to the one that the queue belongs to, unless it is named. */
  unpack(message: ConsumeMessage, to: { readonly queue: string; readonly subscription?: string }): Unpacked | Foreign
}

export function createEvents(o: {
  names(): Names
  readonly declarer: Declarer
  readonly catalogue: Catalogue
  readonly publisher: Publisher
  mostHeaders(): number
}): Subscribing {
  const own = new Map<string, Subscription>()
  const listeners = new Set<() => void>()

  const bind = (spec: SubscriptionSpec) => o.declarer.make((channel) => declareSubscription(channel, o.names(), spec))

  /** No copies of these patterns from now on; where the queue is gone, there are none. */
  const unbind = (spec: SubscriptionSpec, patterns: readonly string[]) =>
    o.declarer.admin(async (channel) => {
      try {
        for (const pattern of patterns) await channel.unbindQueue(copiesIn(o.names(), spec), o.names().events, pattern)
      } catch (error) {
        if ((error as { code?: unknown }).code !== 404) throw error
      }
    })

  return {
    async declare(spec) {
      await o.declarer.queue(spec.queue)
      const standing = (await o.catalogue.subscriptions()).find(({ name }) => name === spec.name)
      await bind(spec)
      const moved = standing?.queue !== spec.queue
      if (standing)
        await unbind(
          standing,
          standing.patterns.filter((one) => moved || !spec.patterns.includes(one)),
        )
      const same = standing && !moved && standing.patterns.join(' ') === spec.patterns.join(' ')
      const now: Subscription = same ? standing : { ...spec, declaredAt: Date.now() }
      if (!same) await o.catalogue.setSubscription(now)
      own.set(spec.name, now)
      for (const listener of listeners) listener()
    },
    subscriptions: () => o.catalogue.subscriptions(),
    async remove({ name }) {
      const standing = (await o.catalogue.subscriptions()).find((one) => one.name === name)
      if (!standing) return false
      await unbind(standing, standing.patterns)
      own.delete(name)
      await o.catalogue.removeSubscription(name)
      return true
    },
    async publish({ events }) {
      await o.declarer.base()
      await o.publisher.send(events.map((event) => eventMessage(o.names(), event, o.mostHeaders())))
      return events.map(({ id }) => ({ id, duplicate: false }))
    },
    of: (queue) => [...own.values()].filter((one) => one.queue === queue && !hasOwnQueue(one)).map(({ name }) => name),
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async again(queue) {
      for (const spec of own.values()) if (spec.queue === queue) await bind(spec)
    },
    isEvent: (message, queue) => message.fields.exchange === o.names().events && queue.startsWith(subscriptionTask('')),
    unpack(message, { queue, subscription = queue.slice(subscriptionTask('').length) }) {
      const spec: SubscriptionSpec = { name: subscription, queue, patterns: [] }
      const one = unpack(message, spec.queue, 4)
      if (isForeign(one)) return one
      const { id, name, body, headers, enqueuedAt, keep } = one.envelope
      const event: EventEnvelope = { id, name, body, headers, publishedAt: enqueuedAt, keep: { ...keep, log: 0 } }
      return { envelope: copyFor(event, spec, { now: enqueuedAt }), course: one.course, due: 0 }
    },
  }
}

function eventMessage(names: Names, event: EventEnvelope, most: number): Outgoing {
  const { id, name, body, headers, publishedAt, keep } = event
  const job = { id, queue: '', name, body, headers, priority: 4, enqueuedAt: publishedAt, keep }
  checkFits(job, FRESH, most)
  const packed = pack(job, FRESH, most)
  return { exchange: names.events, key: name, ...packed, id }
}
