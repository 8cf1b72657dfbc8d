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
    list: (o) => front.link.read('events', o),
    end: () => front.link.read('lastEvent', null),
    replay: (o) => front.link.write('replayEvents', o, o.limit),
    async prune({ limit }) {
      if (!(await front.link.read('areEventsPrunable', null))) return 0
      return front.link.write('pruneEvents', limit)
    },
  }
}
