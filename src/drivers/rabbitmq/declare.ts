// Declaring, once for each thing and process, on a channel of its own: a refusal closes the channel it was given on. Other
// processes declare the same at the same time, so what is no refusal is tried again.
import type { Channel } from 'amqplib'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigurationError, MillraceError, messageOf } from '../../core/errors.js'
import { refusalError, refusalOf, unavailable } from './errors.js'
import type { Link } from './link.js'
import type { RabbitmqSettings } from './options.js'
import { countsOf, onOwnChannel } from './probe.js'
import { declareBase, declareDelays, declareQueue, type Declaring, type Names } from './topology.js'

export interface Declarer {
  /** What all queues need. */
  base(): Promise<void>
  /** This process has seen to the base, or does so now. */
  hasBase(): Promise<boolean>
  queue(name: string): Promise<void>
  /** This process has declared it before. */
  has(queue: string): boolean
  /** The queue has one for its suspects. Known once it was declared. */
  hasSuspects(queue: string): boolean
  delays(): Promise<void>
  /** Declare again with the next use: somebody has deleted it, or anything. */
  forget(queue?: string): void
  /** `admin` of what is declared. A user without the permission to configure is content when it is all there. */
  make(work: (channel: Declaring) => Promise<unknown>): Promise<void>
  /** Run on a channel of its own, tried again for as long as it takes within the time-out. */
  admin<T>(work: (channel: Channel) => Promise<T>): Promise<T>
  /** Called for each queue that is declared here for the first time. */
  onQueue(listener: (name: string) => Promise<void>): void
}

/** A queue that was just deleted and is declared again can leave RabbitMQ 3.10 without an answer; a little later it is fine. */
const PAUSE = 250
const ANSWER_WITHIN = 5_000
/** A loaded broker takes its time for a first declaration; who cannot wait so long gives up by himself. */
const WITHIN = 15_000

export function createDeclarer(o: {
  readonly link: Link
  readonly names: () => Names
  /** A store keeps the books of the jobs. */
  readonly carries: () => boolean
  readonly settings: RabbitmqSettings
}): Declarer {
  const done = new Map<string, Promise<void>>()
  const listeners: ((name: string) => Promise<void>)[] = []

  function once(key: string, work: () => Promise<void>): Promise<void> {
    const known = done.get(key)
    if (known) return known
    const doing = work()
    done.set(key, doing)
    doing.catch(() => done.get(key) === doing && done.delete(key))
    return doing
  }

  async function admin<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const deadline = performance.now() + WITHIN
    for (;;) {
      const within = Math.max(1, deadline - performance.now())
      try {
        // The channel, too, is answered late or not at all by a broker that takes no messages.
        return await o.link.use({ within }, ({ connection }) =>
          answered(onOwnChannel(connection, work), Math.min(within, ANSWER_WITHIN)),
        )
      } catch (thrown) {
        // Of the link itself: there is no connection, and waiting for one longer was not asked for.
        if (thrown instanceof MillraceError) throw thrown
        const error = refusalError(thrown, o.settings)
        if (error instanceof ConfigurationError) throw error
        if (performance.now() + PAUSE > deadline) throw unavailable(messageOf(error), error)
        await sleep(PAUSE)
      }
    }
  }

  async function make(work: (channel: Declaring) => Promise<unknown>): Promise<void> {
    try {
      await admin(work)
    } catch (error) {
      if (!(error instanceof ConfigurationError) || refusalOf(error.cause)?.code !== 403) throw error
      await admin((channel) => work(looking(channel))).catch(() => {
        throw error
      })
    }
  }

  const queues = new Set<string>()
  const withSuspects = new Set<string>()

  async function declareOne(queue: string): Promise<void> {
    if (!o.carries()) {
      await make((channel) => declareQueue(channel, o.names(), { queue, suspects: true }))
      withSuspects.add(queue)
      return
    }
    await make((channel) => declareQueue(channel, o.names(), { queue, suspects: false }))
    // What is left there from the time before the store is worked as well.
    const link = { within: WITHIN }
    const counts = await o.link.use(link, ({ connection }) => countsOf(connection, o.names().suspect(queue)))
    if (counts) withSuspects.add(queue)
  }

  const base = () => once('base', () => make((channel) => declareBase(channel, o.names())))
  return {
    admin,
    make,
    base,
    hasBase: async () =>
      (await done.get('base')?.then(
        () => true,
        () => false,
      )) ?? false,
    onQueue: (listener) => void listeners.push(listener),
    queue: (name) =>
      once(`queue ${name}`, async () => {
        await base()
        await declareOne(name)
        for (const listener of listeners) await listener(name)
        queues.add(name)
      }),
    delays: () =>
      once('delays', async () => {
        await base()
        await make((channel) => declareDelays(channel, o.names()))
      }),
    has: (queue) => queues.has(queue),
    hasSuspects: (queue) => withSuspects.has(queue),
    forget(queue) {
      for (const key of queue === undefined ? [...done.keys()] : [`queue ${queue}`]) done.delete(key)
      for (const known of [queues, withSuspects])
        if (queue === undefined) known.clear()
        else known.delete(queue)
    },
  }
}

/** Declares nothing, and fails when something is not there. Bindings need no permission to configure. */
function looking(channel: Channel): Declaring {
  return {
    assertQueue: (name) => channel.checkQueue(name),
    assertExchange: (name) => channel.checkExchange(name),
    bindQueue: (...o) => channel.bindQueue(...o),
    bindExchange: (...o) => channel.bindExchange(...o),
  }
}

/** What `work` answers within so many milliseconds, else the error. */
export async function answered<T>(work: Promise<T>, within: number, late = notAnswered): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(late()), within)))
  try {
    return await Promise.race([work, tooLate])
  } finally {
    clearTimeout(timer)
  }
}

const notAnswered = () => new Error('RabbitMQ did not answer a declaration.')
