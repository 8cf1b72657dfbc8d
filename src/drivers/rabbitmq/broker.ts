// The broker port: queues, publishing, and consumers on them.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConsumeMessage } from 'amqplib'
import type { Envelope } from '../../core/envelope.js'
import { REPLY_HEADER } from '../../core/envelope.js'
import { BrokerUnavailableError, messageOf } from '../../core/errors.js'
import type { Broker, ConnectOptions, Consumer } from '../../driver/driver.js'
import type { Catalogue } from './catalogue.js'
import { startConsumer } from './consume.js'
import { deadMessage } from './dead-letters.js'
import { answered, type Declarer } from './declare.js'
import { delayRoute } from './delay.js'
import type { Sending } from './delivery.js'
import type { Subscribing } from './events.js'
import type { Link } from './link.js'
import { checkFits, FRESH, pack, unpack, type Course } from './message.js'
import { UnroutedError, type Outgoing, type Publisher, type Unmade } from './publish.js'
import { REPLY_TO, replyMessage, type Listening } from './replies.js'
import type { Tap } from './taps.js'
import { levelOf, queuesOf, type Names } from './topology.js'

/** A queue that is declared again while its deletion goes on can stop a whole RabbitMQ 3.10 for most of a minute. */
const PAUSE = 1_000
/** A call ends a little before its time, so that its caller hears of it inside. */
const MARGIN = 50
/** Priorities of messages from others, by the level whose queue they were put into. */
const PRIORITY: Readonly<Record<Tap['kind'], number>> = { suspect: 4, high: 9, queue: 4, subscription: 4, low: 0 }

export interface BrokerParts {
  names(): Names
  log: ConnectOptions['log']
  readonly consumeLink: Link
  readonly publisher: Publisher
  readonly declarer: Declarer
  readonly catalogue: Catalogue
  readonly events: Subscribing
  readonly replies: Listening
  readonly vhost: string
  readonly maxCrashes: number
  /** A store keeps the books of the jobs. */
  carries(): boolean
  /** Milliseconds within which a publish must be done. */
  timeout(): number
  /** Bytes. */
  mostHeaders(): number
  /** Publish to what every queue needs, which is declared again when it is gone. */
  keep(message: Outgoing): Promise<void>
}

export interface RabbitBroker extends Broker {
  readonly sending: Sending
  /** End every consumer; what nobody has begun goes back. */
  close(): Promise<void>
}

interface Job {
  readonly envelope: Envelope
  readonly course: Course
  readonly suspect: boolean
}

export function createBroker(o: BrokerParts): RabbitBroker {
  const { publisher, declarer } = o
  const consumers = new Set<Promise<Consumer>>()

  function outgoing({ envelope, course, suspect }: Job): Outgoing {
    const { content, options } = pack(envelope, course, o.mostHeaders())
    if (course.replyTo === undefined && envelope.headers[REPLY_HEADER] !== undefined && o.replies.on) {
      options.replyTo = REPLY_TO
      options.correlationId = envelope.id
    }
    const names = o.names()
    const level = levelOf(envelope.priority)
    const wait = envelope.notBefore === undefined ? 0 : envelope.notBefore - Date.now()
    const { exchange, key } =
      wait > 0
        ? delayRoute(names, wait, names.dueKey(suspect ? 'suspect' : level, envelope.queue))
        : { exchange: '', key: suspect ? names.suspect(envelope.queue) : names.level(level, envelope.queue) }
    return { exchange, key, content, options, id: envelope.id }
  }

  const unmade = (jobs: readonly Job[]): Unmade => ({
    ids: jobs.map(({ envelope }) => envelope.id),
    make: (place) => outgoing(jobs[place]!),
  })

  /** What these need is there. It goes on when the time is over, for those who come later. */
  async function declared(jobs: readonly Job[], delayed: boolean, deadline: number): Promise<void> {
    const all = async () => {
      for (const { envelope } of jobs) if (!declarer.has(envelope.queue)) await declarer.queue(envelope.queue)
      if (delayed) await declarer.delays()
    }
    await inTime(all(), jobs, deadline)
  }

  /** In time, or nothing of these was sent. */
  async function inTime(work: Promise<void>, jobs: readonly Job[], deadline: number): Promise<void> {
    const ids = jobs.map(({ envelope }) => envelope.id)
    const late = () =>
      new BrokerUnavailableError('RabbitMQ did not answer in time when the queue was declared.', {
        outcome: 'not-sent',
        ids,
      })
    await answered(work, Math.max(1, deadline - performance.now()), late)
  }

  /** Publish jobs; what no queue takes is published again when its queue was declared. */
  async function send(jobs: readonly Job[]): Promise<void> {
    const now = Date.now()
    const deadline = performance.now() + o.timeout() - MARGIN
    const isDelayed = ({ envelope }: Job) => envelope.notBefore !== undefined && envelope.notBefore > now
    const delayed = jobs.some(isDelayed)
    if (delayed || jobs.some(({ envelope }) => !declarer.has(envelope.queue))) await declared(jobs, delayed, deadline)
    for (const { envelope, course } of jobs) checkFits(envelope, course, o.mostHeaders())
    try {
      await publisher.send(unmade(jobs), { mandatory: true })
    } catch (error) {
      // An exchange that is gone closes the channel, which tells no message from another.
      if (delayed) declarer.forget()
      if (!(error instanceof UnroutedError)) throw error
      const rest = error.places.map((place) => jobs[place]!)
      for (const { envelope } of rest) declarer.forget(envelope.queue)
      await inTime(sleep(PAUSE), rest, deadline)
      await declared(rest, delayed, deadline)
      await sendAgain(rest, Math.max(1, deadline - performance.now()))
    }
  }

  async function sendAgain(jobs: readonly Job[], within: number): Promise<void> {
    try {
      await publisher.send(unmade(jobs), { mandatory: true, within })
    } catch (error) {
      if (!(error instanceof UnroutedError)) throw error
      const ids = error.places.map((place) => jobs[place]!.envelope.id)
      throw new BrokerUnavailableError('A queue of RabbitMQ was deleted again as soon as it was declared.', {
        outcome: 'not-sent',
        ids,
      })
    }
  }

  const fresh = (envelope: Envelope): Job => ({ envelope, course: FRESH, suspect: false })

  const sending: Sending = {
    // For a store suspects wait among the others: their messages tell of them.
    job: (envelope, course, { suspect }) => send([{ envelope, course, suspect: suspect && !o.carries() }]),
    jobs: (envelopes) => send(envelopes.map(fresh)),
    dead: (job, { reason }) =>
      o.keep(deadMessage(o.names(), job, { reason, at: Date.now(), mostHeaders: o.mostHeaders() })),
    reply(replyTo, id, reply) {
      publisher
        .send([replyMessage(replyTo, id, reply)])
        .catch((error: unknown) => o.log('debug', `An answer for job ${id} was not sent: ${messageOf(error)}`))
    },
  }

  async function aside(message: ConsumeMessage, why: string): Promise<void> {
    const { headers, ...rest } = message.properties
    const ours = (key: string) => !key.startsWith('x-')
    const kept = Object.fromEntries(Object.entries(headers ?? {}).filter(([key]) => ours(key)))
    // RabbitMQ takes only our own user's id, and an answer or an end is not meant for a message that lies aside.
    const not = ['replyTo', 'userId', 'expiration', 'deliveryMode']
    const properties = Object.entries(rest).filter(([key, value]) => value !== undefined && !not.includes(key))
    const options = {
      ...Object.fromEntries(properties),
      persistent: true,
      headers: { ...kept, 'millrace-aside-why': why, 'millrace-aside-queue': message.fields.routingKey },
    }
    const id = String(message.properties.messageId ?? '')
    await o.keep({ exchange: '', key: o.names().aside, content: message.content, options, id })
  }

  const tapsOf = (queue: string) => {
    const names = o.names()
    return [
      ...(declarer.hasSuspects(queue) ? [{ kind: 'suspect' as const, queue: names.suspect(queue) }] : []),
      { kind: 'high' as const, queue: names.level('high', queue) },
      { kind: 'queue' as const, queue: names.level('queue', queue) },
      { kind: 'low' as const, queue: names.level('low', queue) },
      ...o.events
        .of(queue)
        .map((name) => ({ kind: 'subscription' as const, queue: names.subscription(name), subscription: name })),
    ]
  }

  /** How many messages are ready in each of these queues; none in one that is not there. */
  async function counts(queues: readonly string[]): Promise<readonly number[]> {
    const found: number[] = []
    for (const queue of queues)
      found.push(
        await declarer.admin(async (channel) => {
          try {
            return (await channel.checkQueue(queue)).messageCount
          } catch (error) {
            if ((error as { code?: unknown }).code === 404) return 0
            throw error
          }
        }),
      )
    return found
  }

  const withSubscriptions = (queue: string) => [
    ...queuesOf(o.names(), queue),
    ...o.events.of(queue).map((name) => o.names().subscription(name)),
  ]

  return {
    sending,
    declare: ({ name }) => declarer.queue(name),
    list: () => o.catalogue.queues(),
    async remove({ queue }) {
      await declarer.base()
      await declarer.admin(async (channel) => {
        for (const one of queuesOf(o.names(), queue)) await channel.deleteQueue(one)
      })
      declarer.forget(queue)
      await o.catalogue.removeQueue(queue)
    },
    async publish({ envelopes }) {
      await send(envelopes.map(fresh))
      return envelopes.map(({ id }) => ({ id, duplicate: false }))
    },
    consume(options) {
      const { queue } = options
      const starting = startConsumer(options, {
        link: o.consumeLink,
        sending,
        vhost: o.vhost,
        maxCrashes: o.maxCrashes,
        carries: o.carries(),
        log: o.log,
        taps: () => tapsOf(queue),
        onTaps: (listener) => o.events.onChange(listener),
        async declare({ again }) {
          if (again) declarer.forget(queue)
          await declarer.queue(queue)
          if (again) await o.events.again(queue)
        },
        unpack: (message, { kind, subscription }) =>
          subscription !== undefined || o.events.isEvent(message, queue)
            ? o.events.unpack(message, { queue, ...(subscription !== undefined && { subscription }) })
            : unpack(message, queue, PRIORITY[kind]),
        aside,
      })
      consumers.add(starting)
      starting.then(
        (consumer) => void consumer.closed.then(() => consumers.delete(starting)),
        () => consumers.delete(starting),
      )
      return starting
    },
    async stats({ queue }) {
      const found = await counts(withSubscriptions(queue))
      return { ready: found.reduce((sum, one) => sum + one, 0) }
    },
    async purge({ queue }) {
      const before = await counts(withSubscriptions(queue))
      let purged = 0
      for (const [i, one] of withSubscriptions(queue).entries())
        if (before[i]! > 0) purged += (await declarer.admin((channel) => channel.purgeQueue(one))).messageCount
      return purged
    },
    async close() {
      const all = await Promise.allSettled(consumers)
      await Promise.all(all.flatMap((one) => (one.status === 'fulfilled' ? [one.value.stop()] : [])))
    },
  }
}
