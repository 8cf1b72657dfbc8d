// The ports for events over one SQLite file.
import type { EventLog, Events } from '../../driver/events.js'
import type { Receipt } from '../../driver/receipts.js'
import type { SqliteHandle } from './engine.js'
import type { Front } from './front.js'

export function createEvents(front: Front): Events<SqliteHandle> {
  return {
    declare: (o) => front.link.write('declareSubscription', o),
    subscriptions: () => front.link.read('subscriptions', null),
    remove: ({ name }) => front.link.write('removeSubscription', name),
    publish({ events, tx }) {
      const receipts = (known: readonly number[]) =>
        events.map(({ id }, place): Receipt => ({ id, duplicate: known.includes(place) }))
      // Not an async function: what goes wrong in the caller's transaction must be thrown out of it.
      if (tx !== undefined) return Promise.resolve(receipts(front.publishEventsInTransaction(tx, events)))
      return front.link.write('publishEvents', events, events.length).then(receipts)
    },
  }
}

export function createEventLog(front: Front): EventLog {
  return {
    async list(o) {
      const places: number[] = []
      for (let after = o.after ?? 0, more = true; more && places.length < o.limit;) {
        const found = await front.link.read('findEvents', { ...o, after, limit: o.limit - places.length })
        places.push(...found.places)
        more = found.next !== undefined
        after = found.next ?? after
      }
      return places.length === 0 ? [] : front.link.read('eventsAt', places)
    },
    end: () => front.link.read('lastEvent', null),
    async replay({ replay, ...part }) {
      const { places, ...rest } = await front.link.read('findEvents', part)
      if (places.length === 0) return { copied: 0, ...rest }
      const { subscription } = part
      const copied = await front.link.write('replayEvents', { subscription, replay, places }, places.length)
      return { copied, ...rest }
    },
    async prune({ limit }) {
      if (!(await front.link.read('areEventsPrunable', null))) return 0
      return front.link.write('pruneEvents', limit)
    },
  }
}
