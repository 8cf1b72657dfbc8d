// What the driver declares, and under which names. The same arguments on every version of RabbitMQ, so that processes of
// different versions may share a broker. Everything durable is a quorum queue (a stream for what is kept to be looked at).
//
//   <prefix>queue.<q>   <prefix>high.<q>   <prefix>low.<q>    jobs that wait, one queue for each level of priority
//   <prefix>suspect.<q>                     jobs whose worker may have died with them (not as the broker of a store, which
//                                          knows them itself)
//   <prefix>subscription.<s>                copies of events for the subscription s, when it has no queue of its own
//   <prefix>events                          topic exchange: events by their names
//   <prefix>delay.level-00 … 27             exchanges and queues: what is due later (delay.ts)
//   <prefix>delay.due                       exchange behind them, and its bindings to every queue above
//   <prefix>unrouted                        what was due for a queue that is gone
//   <prefix>aside                           messages in our queues that are no jobs
//   <prefix>dead, <prefix>catalogue         streams: dead jobs; which queues and subscriptions there are
//
// <prefix> is `millrace.`, or `millrace.<namespace>.`.
import type { Channel, Options } from 'amqplib'
import { subscriptionTask } from '../../core/event.js'
import type { SubscriptionSpec } from '../../driver/events.js'

/** What declaring needs of a channel. */
export interface Declaring {
  assertQueue(name: string, o: Options.AssertQueue): Promise<unknown>
  assertExchange(name: string, type: string, o: Options.AssertExchange): Promise<unknown>
  bindQueue: Channel['bindQueue']
  bindExchange: Channel['bindExchange']
}

/** One of the queues in which a queue's jobs wait. */
export type Level = 'high' | 'queue' | 'low'
const LEVELS: readonly Level[] = ['high', 'queue', 'low']

/** What stands behind the prefix: no namespace may look like one of these. */
const KINDS = [
  'queue',
  'high',
  'low',
  'suspect',
  'subscription',
  'events',
  'delay',
  'unrouted',
  'aside',
  'dead',
  'catalogue',
]

/** Far more than any job is handed over, and not endless: without a limit a requeued message goes to the end of its queue. */
const WORK_DELIVERY_LIMIT = 1_000_000
/**
 * Who takes a suspect that was lost writes that down, and the count begins anew. This is for one that kills before that, and
 * far above the workers of any queue: a broker that loses all its links hands what is in hand to each of them in turn.
 */
const SUSPECT_DELIVERY_LIMIT = 1_000
/** Dead jobs are kept for this long unless there are too many: 30 days, 1 GiB. */
const DEAD_MAX_AGE = '30D'
const DEAD_MAX_BYTES = 2 ** 30

export interface Names {
  readonly prefix: string
  /** Where the jobs of a queue wait, by level. */
  level(level: Level, queue: string): string
  suspect(queue: string): string
  subscription(name: string): string
  /** The words that lead a delayed message to a queue, behind those of its delay. */
  dueKey(kind: Level | 'suspect', queue: string): string
  readonly events: string
  readonly due: string
  readonly unrouted: string
  readonly aside: string
  readonly dead: string
  readonly catalogue: string
  delay(level: number): string
}

export function namesOf(prefix: string, namespace: string | undefined): Names {
  // No two namespaces share a queue: a name has no ~, and none reads like a kind.
  const space = namespace?.replaceAll('.', '~')
  const own = space === undefined ? '' : `${KINDS.includes(space) ? `${space}~` : space}.`
  const p = `${prefix}.${own}`
  return {
    prefix: p,
    level: (level, queue) => `${p}${level}.${queue}`,
    suspect: (queue) => `${p}suspect.${queue}`,
    subscription: (name) => `${p}subscription.${name}`,
    dueKey: (kind, queue) => `${kind}.${queue}`,
    events: `${p}events`,
    due: `${p}delay.due`,
    unrouted: `${p}unrouted`,
    aside: `${p}aside`,
    dead: `${p}dead`,
    catalogue: `${p}catalogue`,
    delay: (level) => `${p}delay.level-${String(level).padStart(2, '0')}`,
  }
}

/** Priorities are told apart by three levels. */
export function levelOf(priority: number): Level {
  return priority > 4 ? 'high' : priority < 4 ? 'low' : 'queue'
}

/** A quorum queue whose messages go to another exchange when it gives them up, and not one of them is lost on the way. */
function quorum(o: { deliveryLimit: number; exchange: string; key?: string; ttl?: number }): Options.AssertQueue {
  return {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': o.deliveryLimit,
      'x-dead-letter-exchange': o.exchange,
      ...(o.key !== undefined && { 'x-dead-letter-routing-key': o.key }),
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
      ...(o.ttl !== undefined && { 'x-message-ttl': o.ttl }),
    },
  }
}

/** A queue of jobs that wait. */
export const workQueue = (names: Names): Options.AssertQueue =>
  quorum({ deliveryLimit: WORK_DELIVERY_LIMIT, exchange: '', key: names.dead })

const suspectQueue = (names: Names): Options.AssertQueue =>
  quorum({ deliveryLimit: SUSPECT_DELIVERY_LIMIT, exchange: '', key: names.dead })

const stream = (o: { maxAge?: string; maxBytes?: number }): Options.AssertQueue => ({
  durable: true,
  arguments: {
    'x-queue-type': 'stream',
    ...(o.maxAge !== undefined && { 'x-max-age': o.maxAge }),
    ...(o.maxBytes !== undefined && { 'x-max-length-bytes': o.maxBytes }),
  },
})

/** How many words of a delayed message's key tell its delay: a bit each, of its seconds. */
export const DELAY_LEVELS = 28
const anyDelay = Array.from({ length: DELAY_LEVELS }, () => '*').join('.')

/** What every queue needs: the places for what went wrong, the exchanges of events and of what is due. */
export async function declareBase(channel: Declaring, names: Names): Promise<void> {
  const kept = quorum({ deliveryLimit: WORK_DELIVERY_LIMIT, exchange: '', key: names.dead })
  await channel.assertQueue(names.dead, stream({ maxAge: DEAD_MAX_AGE, maxBytes: DEAD_MAX_BYTES }))
  await channel.assertQueue(names.catalogue, stream({}))
  await channel.assertQueue(names.aside, kept)
  await channel.assertQueue(names.unrouted, kept)
  await channel.assertExchange(names.unrouted, 'fanout', { durable: true })
  await channel.bindQueue(names.unrouted, names.unrouted, '')
  // Without an alternate exchange, what is due for a queue that is gone would hold up all that is due.
  await channel.assertExchange(names.due, 'topic', { durable: true, alternateExchange: names.unrouted })
  await channel.assertExchange(names.events, 'topic', { durable: true })
}

export async function declareQueue(
  channel: Declaring,
  names: Names,
  o: {
    readonly queue: string
    /** Not where a store counts the crashes. */
    readonly suspects: boolean
  },
): Promise<void> {
  for (const level of LEVELS) await channel.assertQueue(names.level(level, o.queue), workQueue(names))
  for (const level of LEVELS)
    await channel.bindQueue(names.level(level, o.queue), names.due, `${anyDelay}.${names.dueKey(level, o.queue)}`)
  if (!o.suspects) return
  await channel.assertQueue(names.suspect(o.queue), suspectQueue(names))
  await channel.bindQueue(names.suspect(o.queue), names.due, `${anyDelay}.${names.dueKey('suspect', o.queue)}`)
}

/**
 * The network through which a delayed message goes, from the level of its highest bit downwards: where its bit is 1 it waits
 * in the level's queue, where it is 0 it goes on at once.
 */
export async function declareDelays(channel: Declaring, names: Names): Promise<void> {
  const below = (level: number) => (level === 0 ? names.due : names.delay(level - 1))
  for (let level = 0; level < DELAY_LEVELS; level++) {
    const name = names.delay(level)
    await channel.assertExchange(name, 'topic', { durable: true })
    await channel.assertQueue(
      name,
      quorum({ deliveryLimit: WORK_DELIVERY_LIMIT, exchange: below(level), ttl: 2 ** level * 1000 }),
    )
    const before = '*.'.repeat(DELAY_LEVELS - 1 - level)
    await channel.bindQueue(name, name, `${before}1.#`)
    await channel.bindExchange(below(level), name, `${before}0.#`)
  }
}

export async function declareSubscription(
  channel: Declaring,
  names: Names,
  o: Pick<SubscriptionSpec, 'name' | 'queue' | 'patterns'>,
): Promise<void> {
  if (!hasOwnQueue(o)) await channel.assertQueue(names.subscription(o.name), workQueue(names))
  for (const pattern of o.patterns) await channel.bindQueue(copiesIn(names, o), names.events, pattern)
}

/** The copies of a subscription with a queue of its own wait there, in one order with its other jobs. */
export const hasOwnQueue = (o: Pick<SubscriptionSpec, 'name' | 'queue'>): boolean =>
  o.queue === subscriptionTask(o.name)

/** The queue that a subscription's patterns are bound to. */
export const copiesIn = (names: Names, o: Pick<SubscriptionSpec, 'name' | 'queue'>): string =>
  hasOwnQueue(o) ? names.level('queue', o.queue) : names.subscription(o.name)

/** Every queue that jobs of a queue wait in but its suspects. */
export const levelsOf = (names: Names, queue: string): readonly string[] =>
  LEVELS.map((level) => names.level(level, queue))

/** Every queue that jobs of a queue wait in. */
export const queuesOf = (names: Names, queue: string): readonly string[] => [
  ...levelsOf(names, queue),
  names.suspect(queue),
]
