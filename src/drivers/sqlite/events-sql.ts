// The operations behind the ports for events: subscriptions, publishing with a copy for each of them, the log and replay.
import { ConfigurationError } from '../../core/errors.js'
import { subscriptionTask } from '../../core/event.js'
import { matchesPattern } from '../../core/pattern.js'
import {
  copyFor,
  type EventEnvelope,
  type EventQuery,
  type KeptEvent,
  type Subscription,
  type SubscriptionSpec,
} from '../../driver/events.js'
import { checkSameEvent } from '../../driver/receipts.js'
import type { Db, Row } from './engine.js'
import type { Tables } from './migrations.js'
import { packEnvelopes } from './packing.js'
import type { Publish } from './publish.js'

/** A part of the log, in its order. */
export type Part = EventQuery & {
  readonly after?: number
  readonly upTo?: number
  /** Only what is meant for this one. */
  readonly subscription?: string
  readonly limit: number
}

/** Entries of the log that one look goes through at most, so that neither a thread nor a lock is held for long. */
const LOOK = 5_000

export function eventReads(t: Tables) {
  const subscriptions = subscriptionsSql(t)
  const one = subscriptionsSql(t, 'WHERE name = ?')
  // The index alone answers it; the planner would rather read the table with all its bodies, or sort.
  const look = `
    SELECT n, name FROM ${t.events} INDEXED BY "${t.prefix}events_look"
    WHERE n > ? AND n <= ? AND published_at >= ? AND published_at < ? ORDER BY n LIMIT ${LOOK}`
  const at = atPlaces(t)
  const end = `SELECT max(n) AS n FROM ${t.events}`
  const prunable = `SELECT 1 FROM ${t.events} WHERE prune_at <= ? LIMIT 1`
  return {
    subscriptions: (db: Db) => db.all(subscriptions).map(subscriptionOf),
    /**
     * Places of events in this part, at most `limit`; found without the lock and by one look, which may end before it has
     * found enough. `next`: the place to go on behind, when there may be more.
     */
    findEvents(db: Db, o: Part): { places: number[]; next?: number } {
      const { pattern, since = 0, before = FAR, after = 0, upTo = FAR, subscription, limit } = o
      const asked = subscription === undefined ? undefined : subscriptionNamed(db, one, subscription)
      const rows = db.all(look, after, upTo, since, before)
      const places: number[] = []
      for (const row of rows) {
        const [n, name] = [Number(row['n']), String(row['name'])]
        if (pattern !== undefined && !matchesPattern(pattern, name)) continue
        if (asked && !isMeant(asked, name)) continue
        places.push(n)
        if (places.length === limit) return { places, next: n }
      }
      return { places, ...(rows.length === LOOK && { next: Number(rows.at(-1)!['n']) }) }
    },
    eventsAt: (db: Db, places: readonly number[]) => db.all(at, JSON.stringify(places)).map(keptOf),
    lastEvent: (db: Db) => Number(db.get(end)?.['n'] ?? 0),
    areEventsPrunable: (db: Db) => db.get(prunable, Date.now()) !== undefined,
  }
}

export type PublishEvents = (db: Db, events: readonly EventEnvelope[]) => number[]

/** Keeps events and their copies; must run inside a transaction. Answers the places of those that are no new events. */
export function createPublishEvents(t: Tables, publish: Publish): PublishEvents {
  const subscriptions = subscriptionsSql(t)
  const insert = `
    INSERT INTO ${t.events} (id, name, body, headers, published_at, keep_completed, keep_dead, prune_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
  const nameOf = `SELECT name FROM ${t.events} WHERE id = ?`
  return (db, events) => {
    const now = Date.now()
    const all = db.all(subscriptions).map(subscriptionOf)
    const known: number[] = []
    for (const [place, event] of events.entries()) {
      const { id, name, body, headers, publishedAt, keep } = event
      const pruneAt = publishedAt + keep.log
      const text = JSON.stringify(headers)
      if (db.run(insert, id, name, body, text, publishedAt, keep.completed, keep.dead, pruneAt) === 0) {
        checkSameEvent(event, String(db.get(nameOf, id)?.['name']))
        known.push(place)
        continue
      }
      const copies = all.filter((one) => isMeant(one, name)).map((one) => copyFor(event, one, { now }))
      if (copies.length > 0) publish(db, packEnvelopes(copies))
    }
    return known
  }
}

export function eventWrites(t: Tables, o: { readonly publish: Publish; readonly publishEvents: PublishEvents }) {
  const declare = `
    INSERT INTO ${t.subscriptions} (name, queue, patterns, declared_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET queue = excluded.queue, patterns = excluded.patterns, declared_at = excluded.declared_at`
  const declareQueue = `INSERT INTO ${t.queues} (name, declared_at) VALUES (?, ?) ON CONFLICT DO NOTHING`
  const remove = `DELETE FROM ${t.subscriptions} WHERE name = ?`
  const one = subscriptionsSql(t, 'WHERE name = ?')
  const at = atPlaces(t)
  // Its copy, or one that an earlier replay made; "0" comes behind "/".
  const unfinished = `
    SELECT 1 FROM ${t.jobs} WHERE (id = ? OR (id > ? AND id < ?)) AND name = ?
      AND state IN ('scheduled', 'ready', 'active') LIMIT 1`
  const prune = `DELETE FROM ${t.events} WHERE n IN (SELECT n FROM ${t.events} WHERE prune_at <= ? ORDER BY prune_at LIMIT ?)`
  return {
    publishEvents: o.publishEvents,
    declareSubscription(db: Db, { name, queue, patterns }: SubscriptionSpec) {
      const now = Date.now()
      db.run(declareQueue, queue, now)
      db.run(declare, name, queue, JSON.stringify(patterns), now)
    },
    removeSubscription: (db: Db, name: string) => db.run(remove, name) === 1,
    replayEvents(db: Db, { subscription: name, replay, places }: Replay) {
      const subscription = subscriptionNamed(db, one, name)
      const now = Date.now()
      const waits = (id: string) => db.get(unfinished, id, `${id}/`, `${id}0`, subscriptionTask(name)) !== undefined
      const copies = db
        .all(at, JSON.stringify(places))
        .map(keptOf)
        .filter((event) => isMeant(subscription, event.name) && !waits(`${event.id}/${name}`))
        .map((event) => copyFor(event, subscription, { now, replay }))
      return copies.length === 0 ? 0 : copies.length - o.publish(db, packEnvelopes(copies)).length
    },
    pruneEvents: (db: Db, limit: number) => db.run(prune, Date.now(), limit),
  }
}

const subscriptionsSql = (t: Tables, where = '') =>
  `SELECT name, queue, patterns, declared_at FROM ${t.subscriptions} ${where} ORDER BY name`

const atPlaces = (t: Tables) => `SELECT * FROM ${t.events} WHERE n IN (SELECT value FROM json_each(?)) ORDER BY n`

const FAR = Number.MAX_SAFE_INTEGER

export interface Replay {
  readonly subscription: string
  readonly replay: string
  readonly places: readonly number[]
}

/** @throws ConfigurationError when there is none */
function subscriptionNamed(db: Db, sql: string, name: string): Subscription {
  const row = db.get(sql, name)
  if (!row) throw new ConfigurationError(`There is no subscription "${name}".`)
  return subscriptionOf(row)
}

const isMeant = ({ patterns }: SubscriptionSpec, name: string) =>
  patterns.some((pattern) => matchesPattern(pattern, name))

const subscriptionOf = (row: Row): Subscription => ({
  name: String(row['name']),
  queue: String(row['queue']),
  patterns: JSON.parse(String(row['patterns'])) as string[],
  declaredAt: Number(row['declared_at']),
})

const keptOf = (row: Row): KeptEvent => ({
  n: Number(row['n']),
  id: String(row['id']),
  name: String(row['name']),
  body: String(row['body']),
  headers: JSON.parse(String(row['headers'])) as KeptEvent['headers'],
  publishedAt: Number(row['published_at']),
  keep: {
    completed: Number(row['keep_completed']),
    dead: Number(row['keep_dead']),
    log: Number(row['prune_at']) - Number(row['published_at']),
  },
})
