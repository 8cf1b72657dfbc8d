// The ports for events in memory.
import { ConfigurationError } from '../../core/errors.js'
import { subscriptionTask } from '../../core/event.js'
import { matchesPattern } from '../../core/pattern.js'
import { isFinished } from '../../core/job.js'
import type { Envelope } from '../../core/envelope.js'
import {
  copyFor,
  type EventEnvelope,
  type EventLog,
  type EventQuery,
  type Events,
  type KeptEvent,
} from '../../driver/events.js'
import { checkSameEvent, type Receipt } from '../../driver/receipts.js'
import type { Table } from './table.js'

export function createEvents(table: () => Table): Events {
  const meantFor = (event: EventEnvelope) =>
    [...table().subscriptions.values()]
      .filter((one) => one.patterns.some((pattern) => matchesPattern(pattern, event.name)))
      .map((one) => copyFor(event, one, { now: table().now() }))
  return {
    async declare(spec) {
      table().queues.add(spec.queue)
      table().subscriptions.set(spec.name, { ...spec, declaredAt: table().now() })
    },
    subscriptions: async () =>
      [...table().subscriptions.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    remove: async ({ name }) => table().subscriptions.delete(name),
    async publish({ events }) {
      const { events: log, add, emit } = table()
      const fresh = new Map<string, EventEnvelope>()
      const receipts = events.map((event): Receipt => {
        const same = log.get(event.id) ?? fresh.get(event.id)
        if (same) checkSameEvent(event, same.name)
        else fresh.set(event.id, event)
        return { id: event.id, duplicate: same !== undefined }
      })
      add([...fresh.values()].flatMap(meantFor)) // first, for it may throw, and then nothing is kept
      for (const event of fresh.values()) log.set(event.id, { ...event, n: ++table().places })
      emit('work')
      return receipts
    },
  }
}

export function createEventLog(table: () => Table): EventLog {
  const kept = (q: EventQuery & { after?: number; upTo?: number }, limit: number): KeptEvent[] =>
    [...table().events.values()]
      .filter(
        (event) =>
          event.n > (q.after ?? 0) &&
          event.n <= (q.upTo ?? Infinity) &&
          (q.pattern === undefined || matchesPattern(q.pattern, event.name)) &&
          (q.since === undefined || event.publishedAt >= q.since) &&
          (q.before === undefined || event.publishedAt < q.before),
      )
      .slice(0, limit)
  return {
    list: async ({ limit, ...q }) => kept(q, limit),
    end: async () => Math.max(0, ...[...table().events.values()].map(({ n }) => n)),
    async replay({ subscription: name, replay, limit, ...q }) {
      const subscription = table().subscriptions.get(name)
      if (!subscription) throw new ConfigurationError(`There is no subscription "${name}".`)
      const looked = kept(q, limit)
      const waiting = [...table().rows.values()]
        .filter(({ envelope, state }) => envelope.name === subscriptionTask(name) && !isFinished(state))
        .map(({ envelope }) => envelope.id)
      const copies: Envelope[] = looked
        .filter((event) => subscription.patterns.some((pattern) => matchesPattern(pattern, event.name)))
        .filter((event) => !waiting.some((id) => id === `${event.id}/${name}` || id.startsWith(`${event.id}/${name}/`)))
        .map((event) => copyFor(event, subscription, { now: table().now(), replay }))
      const copied = table()
        .add(copies)
        .filter(({ duplicate }) => !duplicate).length
      table().emit('work')
      return { copied, ...(looked.length === limit && { next: looked.at(-1)!.n }) }
    },
    async prune({ limit }) {
      const now = table().now()
      const over = [...table().events.values()]
        .filter((event) => event.publishedAt + event.keep.log <= now)
        .slice(0, limit)
      for (const event of over) table().events.delete(event.id)
      return over.length
    },
  }
}
