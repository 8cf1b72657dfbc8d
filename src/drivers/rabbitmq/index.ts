// The RabbitMQ driver: durable queues on a broker that any number of machines share. It moves jobs and remembers none; a store
// beside it does.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectOptions, Driver, Traits } from '../../driver/driver.js'
import { messageOf } from '../../core/errors.js'
import { createBroker } from './broker.js'
import { createCatalogue } from './catalogue.js'
import { createDeadLetters } from './dead-letters.js'
import { createDeclarer } from './declare.js'
import { createDelayed } from './delayed.js'
import { refusalError } from './errors.js'
import { createEvents } from './events.js'
import { inspectRabbitmq } from './inspect.js'
import { createLink } from './link.js'
import { mostHeaders } from './message.js'
import { settingsOf, type RabbitmqOptions } from './options.js'
import { createPing } from './ping.js'
import { countsOf } from './probe.js'
import { createPublisher, UnroutedError, type Outgoing } from './publish.js'
import { createReplies } from './replies.js'
import { readStream } from './stream.js'
import { hasOwnQueue, namesOf, type Names } from './topology.js'

export type { RabbitmqOptions, TlsOptions } from './options.js'
export { optionsFromUrl } from './url.js'

/** RabbitMQ looks for jobs that ran too long once a minute, and a delay before a job begins counts too. */
const SHARE_OF_CONSUMER_TIMEOUT = 5 / 6

/** Milliseconds for what is not done in one step, such as reading a stream. */
const ENOUGH = 10_000
/** What was deleted just now is better declared a little later. */
const PAUSE = 1_000

/** Milliseconds from the first consumer to declaring the delays, unless they are needed sooner: its first jobs go before. */
const DELAYS_LATER = 10_000

/**
 * A driver on RabbitMQ 3.10 or later. Needs the package amqplib. By itself it keeps no history: unique keys, results, pauses,
 * schedules and look-ups need a store beside it.
 * @throws ConfigurationError for an option that is not allowed. The broker is dialled by `client.connect()` or at first use.
 */
export function rabbitmq(options: RabbitmqOptions = {}): Driver {
  const settings = settingsOf(options)
  const { vhost, maxCrashes, consumerTimeout } = settings
  let names: Names = namesOf(settings.prefix, undefined)
  let carries = false
  let publishTimeout = 10_000
  let log: ConnectOptions['log'] = () => {}
  const tell: ConnectOptions['log'] = (level, message, fields) => log(level, message, fields)
  const timeout = () => publishTimeout
  /** For what takes several steps, and what nobody's publish waits for. */
  const within = () => Math.max(publishTimeout, ENOUGH)
  const publishLink = createLink({ purpose: 'publish', settings, log: tell })
  const consumeLink = createLink({ purpose: 'consume', settings, log: tell })
  const publisher = createPublisher({
    link: publishLink,
    window: settings.confirmWindow,
    timeout,
    refusal: (error) => refusalError(error, settings),
  })
  const declarer = createDeclarer({ link: publishLink, names: () => names, carries: () => carries, settings })
  const most = () => mostHeaders(publishLink.live?.server.frameMax ?? settings.frameMax)
  const send = async (messages: readonly Outgoing[]) => {
    const o = { mandatory: true, within: within() }
    try {
      await publisher.send(messages, o)
    } catch (error) {
      if (!(error instanceof UnroutedError)) throw error
      declarer.forget()
      await sleep(PAUSE)
      await declarer.base()
      await publisher.send(messages, o)
    }
  }
  const isThere = async (queue: string) =>
    (await publishLink.use({ within: within() }, ({ connection }) => countsOf(connection, queue))) !== undefined
  const reading = (queue: () => string): Parameters<typeof createCatalogue>[0]['read'] => {
    return async (onMessage) => {
      try {
        // Who only looks declares nothing.
        if (!(await declarer.hasBase()) && !(await isThere(queue()))) return
        await readStream({ link: consumeLink, publisher, queue: queue(), within: within() }, onMessage)
      } catch (error) {
        throw refusalError(error, settings)
      }
    }
  }
  const catalogue = createCatalogue({ names: () => names, read: reading(() => names.catalogue), send })
  declarer.onQueue((name) => catalogue.addQueue(name))
  const ping = createPing()
  let declaring: NodeJS.Timeout | undefined
  /** The delays are 28 queues, and the first retry need not wait for them: they are declared when the worker has begun. */
  const delaysLater = () => {
    if (carries) return // delays are the store's
    declaring ??= setTimeout(() => {
      declarer.delays().catch((error: unknown) => tell('debug', `The delays are not declared: ${messageOf(error)}`))
    }, DELAYS_LATER).unref()
  }
  const replies = createReplies(publisher, publishLink)
  const events = createEvents({ names: () => names, declarer, catalogue, publisher, mostHeaders: most })
  const broker = createBroker({
    names: () => names,
    log: tell,
    consumeLink,
    publisher,
    declarer,
    catalogue,
    events,
    replies,
    vhost,
    maxCrashes,
    carries: () => carries,
    timeout,
    mostHeaders: most,
    keep: (message) => send([message]),
  })
  const traits: Traits = {
    durable: true,
    shared: true,
    delay: true,
    priorities: 3,
    unique: false,
    transactions: 'none',
    remembers: false,
    lease: 2 * settings.heartbeat,
    ...(consumerTimeout !== undefined && { longestRun: consumerTimeout * SHARE_OF_CONSUMER_TIMEOUT }),
  }
  return {
    name: 'rabbitmq',
    traits,
    broker: {
      ...broker,
      consume(o) {
        delaysLater()
        return broker.consume(o)
      },
    },
    events,
    replies,
    delayed: createDelayed({ names: () => names, link: consumeLink, within }),
    deadLetters: createDeadLetters({
      names: () => names,
      read: reading(() => names.dead),
      send,
      publish: (envelope, course) => broker.sending.job(envelope, course, { suspect: false }),
    }),
    async connect(o) {
      names = namesOf(settings.prefix, o.namespace)
      carries = o.carries ?? false
      publishTimeout = o.publishTimeout
      log = o.log
      await publishLink.open({ within: publishTimeout })
    },
    async setup() {
      await declarer.base()
      // Those of a pair wait in its store.
      if (!carries) await declarer.delays()
    },
    // Twice a second by every worker: over the connection that is never kept waiting because it publishes.
    ping: () =>
      (consumeLink.live ? consumeLink : publishLink).use({ within: publishTimeout }, ({ connection }) =>
        ping(connection),
      ),
    inspect: ({ deep = false } = {}) =>
      inspectRabbitmq({
        publishLink,
        consumeLink,
        settings,
        names,
        within: publishTimeout,
        deep,
        carries,
        declared: async () => ({
          queues: await catalogue.queues(),
          // Others wait in the queue of their own, which is one of the queues.
          subscriptions: (await catalogue.subscriptions()).filter((one) => !hasOwnQueue(one)).map(({ name }) => name),
        }),
      }),
    async close() {
      clearTimeout(declaring)
      await broker.close()
      await publisher.close()
      await Promise.all([consumeLink.close(), publishLink.close()])
    },
  }
}
