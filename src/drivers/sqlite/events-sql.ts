// The operations behind the ports for events: subscriptions, publishing with a copy for each of them, the log and replay.
import { ConfigurationError } from '../../core/errors.js'
import { matchesPattern } from '../../core/pattern.js'
import {
  copyFor,
  type EventEnvelope,
  type EventQuery,
  type KeptEvent,
  type Subscription,
  type SubscriptionSpec,
} from '../../driver/events.js'
import type { Db, Row } from './engine.js'
import type { Tables } from './migrations.js'
import { packEnvelopes } from './packing.js'
import type { Publish } from './publish.js'

/** A part of the log, in its order. */
type Part = EventQuery & { readonly after?: number; readonly limit: number }

export function eventReads(t: Tables) {
  const subscriptions = subscriptionsSql(t)
  const part = partSql(t)
  const end = `SELECT max(n) AS n FROM ${t.events}`
  const prunable = `SELECT 1 FROM ${t.events} WHERE prune_at <= ? LIMIT 1`
  return {
    subscriptions: (db: Db) => db.all(subscriptions).map(subscriptionOf),
    events: (db: Db, o: Part) => readPart(db, part, o),
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
  return (db, events) => {
    const now = Date.now()
    const all = db.all(subscriptions).map(subscriptionOf)
    const known: number[] = []
    for (const [place, event] of events.entries()) {
      const { id, name, body, headers, publishedAt, keep } = event
      const pruneAt = publishedAt + keep.log
      const text = JSON.stringify(headers)
      if (db.run(insert, id, name, body, text, publishedAt, keep.completed, keep.dead, pruneAt) === 0) {
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
  const part = partSql(t)
  const unfinished = `SELECT 1 FROM ${t.jobs} WHERE id = ? AND state IN ('scheduled', 'ready', 'active')`
  const prune = `DELETE FROM ${t.events} WHERE n IN (SELECT n FROM ${t.events} WHERE prune_at <= ? ORDER BY prune_at LIMIT ?)`
  return {
    publishEvents: o.publishEvents,
    declareSubscription(db: Db, { name, queue, patterns }: SubscriptionSpec) {
      const now = Date.now()
      db.run(declareQueue, queue, now)
      db.run(declare, name, queue, JSON.stringify(patterns), now)
    },
    removeSubscription: (db: Db, name: string) => db.run(remove, name) === 1,
    replayEvents(db: Db, { subscription: name, replay, ...query }: Part & { subscription: string; replay: string }) {
      const row = db.get(one, name)
      if (!row) throw new ConfigurationError(`There is no subscription "${name}".`)
      const subscription = subscriptionOf(row)
      const now = Date.now()
      const looked = readPart(db, part, query)
      const copies = looked
        .filter((event) => isMeant(subscription, event.name) && !db.get(unfinished, `${event.id}/${name}`))
        .map((event) => copyFor(event, subscription, { now, replay }))
      const known = copies.length === 0 ? [] : o.publish(db, packEnvelopes(copies))
      const next = looked.length === query.limit ? { next: looked.at(-1)!.n } : {}
      return { copied: copies.length - known.length, ...next }
    },
    pruneEvents: (db: Db, limit: number) => db.run(prune, Date.now(), limit),
  }
}

const subscriptionsSql = (t: Tables, where = '') =>
  `SELECT name, queue, patterns, declared_at FROM ${t.subscriptions} ${where} ORDER BY name`

const isMeant = ({ patterns }: SubscriptionSpec, name: string) =>
  patterns.some((pattern) => matchesPattern(pattern, name))

const subscriptionOf = (row: Row): Subscription => ({
  name: String(row['name']),
  queue: String(row['queue']),
  patterns: JSON.parse(String(row['patterns'])) as string[],
  declaredAt: Number(row['declared_at']),
})

const partSql = (t: Tables) =>
  `SELECT * FROM ${t.events} WHERE n > ? AND published_at >= ? AND published_at < ? ORDER BY n LIMIT ?`

/** A pattern is no condition of SQL, so the log is read on until enough of it fits. */
function readPart(db: Db, sql: string, { pattern, since = 0, before, after = 0, limit }: Part): KeptEvent[] {
  const found: KeptEvent[] = []
  const until = before ?? Number.MAX_SAFE_INTEGER
  for (let place = after; found.length < limit;) {
    const rows = db.all(sql, place, since, until, limit)
    for (const row of rows)
      if (found.length < limit && (pattern === undefined || matchesPattern(pattern, String(row['name']))))
        found.push(keptOf(row))
    if (rows.length < limit) break
    place = Number(rows.at(-1)!['n'])
  }
  return found
}

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
