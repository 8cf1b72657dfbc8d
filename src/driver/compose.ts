// One driver of two: a broker that moves the jobs, and a store that keeps their books. Store first, then broker.
import { ConfigurationError, UnsupportedError } from '../core/errors.js'
import { consumePair } from './compose/consume.js'
import { createPresence } from './compose/presence.js'
import { createPublish } from './compose/publish.js'
import { createSweep, type Sweep } from './compose/sweep.js'
import type { Envelope } from '../core/envelope.js'
import type { Ended } from './ledger.js'
import type { Leaving } from './leaving.js'
import type { Broker, ConnectOptions, Driver, Finding, StatefulDriver, Traits } from './driver.js'

/** A broker and a store that together make a driver. */
export interface PairOptions<Tx = never> {
  /** Moves the jobs: a driver without memory, such as that of RabbitMQ. */
  readonly broker: Driver
  /** Remembers them: a driver that can keep the books of another broker, such as sqlite. */
  readonly store: StatefulDriver<Tx>
  /**
   * `full` (the default): every step of every job is written to the store. `final`: of a job without a unique key, a delay and
   * `tx`, that is neither the copy of an event nor a tick, only the end is. The broker keeps it until then, so it cannot be
   * looked up or cancelled before, its id is not told from another's, and it may run more than once, though it ends once.
   */
  readonly history?: 'full' | 'final'
}

/**
 * A driver of a broker and a store. A job is written to the store, handed to the broker, started in the store by the worker
 * that gets its message, and settled there before the message is acknowledged; so whatever dies between two of these steps,
 * the job is in the store, and a worker's process hands it over again. Delays, unique keys, results, cancels, schedules and
 * the log of events are the store's.
 * @throws ConfigurationError for another `history`; UnsupportedError for a broker that remembers jobs itself, and for a store that cannot keep the books
 */
export function compose<Tx = never>(o: PairOptions<Tx>): StatefulDriver<Tx> {
  const { broker: carrier, store, history = 'full' } = o
  const final = history === 'final'
  const { ledger } = store
  if (!final && history !== 'full')
    throw new ConfigurationError(`history: "${String(history)}" is neither "full" nor "final". Give one of them.`)
  if (carrier.traits.remembers)
    throw new UnsupportedError(
      `The ${carrier.name} driver remembers jobs itself, so it cannot be the broker of a pair. Use it alone, or name a broker such as amqp://localhost.`,
    )
  if (!ledger)
    throw new UnsupportedError(
      `The ${store.name} driver cannot keep the books of another broker, so it cannot be the store of a pair. Name one that can, such as sqlite:jobs.db.`,
    )
  const name = `${carrier.name}+${store.name}`
  let made: Sweep | undefined
  let log: ConnectOptions['log'] = () => {}
  let told = false
  const sweep = (): Sweep =>
    (made ??= createSweep({
      ledger,
      broker: carrier.broker,
      pingBroker: () => carrier.ping(),
      priorities: carrier.traits.priorities > 0,
      signals: store.signals,
      log,
    }))
  const kick = () => sweep().kick()
  /** Who is to be woken by a publish: to the store it is nothing to wake anybody for. */
  const published = new Set<() => void>()
  const publish = createPublish<Tx>({
    ledger,
    jobs: store.jobs,
    broker: carrier.broker,
    sweep,
    history,
    declare: (queue) => store.broker.declare({ name: queue }),
  })
  const presence = createPresence({
    workers: store.workers,
    pingBroker: () => carrier.ping(),
    onLeave: kick,
  })
  const dial = {
    store: dialOnce((options) => store.connect(options)),
    broker: dialOnce((options) => carrier.connect(options)),
  }

  return {
    name,
    traits: { ...traitsOf(carrier.traits, store.traits), ...(final && { history }) },
    broker: brokerOf(),
    jobs: {
      ...store.jobs,
      async move(q) {
        const answer = await store.jobs.move(q)
        if (q.to === 'ready') kick()
        return answer
      },
    },
    ...(store.leaving && { leaving: leavingOf(store.leaving) }),
    workers: presence.workers,
    state: {
      ...store.state,
      async set(q) {
        const version = await store.state.set(q)
        if (version !== undefined && (q.publish?.length ?? 0) > 0) kick()
        return version
      },
    },
    signals: {
      on(topic, listener) {
        const off = store.signals.on(topic, listener)
        if (topic === 'done') return off
        const own = () => listener()
        published.add(own)
        return () => {
          off()
          published.delete(own)
        }
      },
    },
    events: {
      ...store.events,
      async declare(spec) {
        await store.events.declare(spec)
        await carrier.broker.declare({ name: spec.queue })
      },
      publish(q) {
        const receipts = store.events.publish(q)
        // With `tx` nothing is there before the caller commits.
        return q.tx === undefined ? receipts.finally(kick) : receipts
      },
    },
    eventLog: {
      ...store.eventLog,
      async replay(q) {
        const answer = await store.eventLog.replay(q)
        if (answer.copied > 0) kick()
        return answer
      },
    },
    async connect(options) {
      ;({ log } = options)
      await dial.store({ ...options, ledger: true })
      await dial.broker({ ...options, carries: true })
    },
    async setup() {
      await store.setup()
      await carrier.setup()
    },
    async ping() {
      await Promise.all([store.ping(), carrier.ping()])
    },
    async inspect(q): Promise<readonly Finding[]> {
      const found = await Promise.all([store.inspect?.(q), carrier.inspect?.(q)])
      return found.flatMap((one) => one ?? [])
    },
    async close() {
      await made?.close()
      try {
        await carrier.close()
      } finally {
        await store.close()
      }
    },
  }

  function plain() {
    return {
      record: async (ended: Ended) => (await ledger!.record({ ended: [ended] }))[0]!,
      publish: (envelopes: readonly Envelope[]) => publish({ envelopes }),
      noted() {
        if (told) return
        told = true
        log(
          'warn',
          "ctx.progress() is kept for few jobs here: with history: 'final' most are known only when they end.",
        )
      },
    }
  }

  /** What leaves is held in the store, which makes its messages stale. */
  function leavingOf(leaving: Leaving): Leaving {
    return {
      ...leaving,
      async giveBack(q) {
        const back = await leaving.giveBack(q)
        if (back > 0) kick()
        return back
      },
    }
  }

  /** Plain jobs are in the broker alone. A job that is enqueued meanwhile has lost its message, so its row goes as well. */
  async function purgeBoth(q: { readonly queue: string }): Promise<number> {
    const { ready } = await store.broker.stats(q)
    const removed = await store.broker.purge(q)
    const messages = await carrier.broker.purge(q)
    await store.broker.purge(q)
    return removed + Math.max(0, messages - ready)
  }

  function brokerOf(): Broker<Tx> {
    return {
      async declare(queue) {
        await store.broker.declare(queue)
        await carrier.broker.declare(queue)
      },
      list: () => store.broker.list(),
      async remove(q) {
        await store.broker.remove(q)
        await carrier.broker.remove(q)
        // What was published in between has lost its message with the queue.
        await store.broker.remove(q)
      },
      publish(q) {
        const receipts = publish(q)
        return published.size === 0 ? receipts : receipts.finally(() => published.forEach((listener) => listener()))
      },
      consume: (q) =>
        consumePair<Tx>(
          { ledger: ledger!, broker: carrier.broker, presence, sweep: sweep(), log, ...(final && { plain: plain() }) },
          q,
        ),
      async stats(q) {
        const stats = await store.broker.stats(q)
        // Those that have a row wait in both, plain ones only here.
        return final ? { ...stats, ready: Math.max(stats.ready, (await carrier.broker.stats(q)).ready) } : stats
      },
      // The messages that are left behind are stale, and acknowledged unseen as they come. To purge the broker as well would
      // take the message of a job that is enqueued meanwhile.
      purge: (q) => (final ? purgeBoth(q) : store.broker.purge(q)),
    }
  }
}

/** Dials once for all; a dial that failed is tried again with the next call. */
function dialOnce(dial: (o: ConnectOptions) => Promise<void>): (o: ConnectOptions) => Promise<void> {
  let dialling: Promise<void> | undefined
  return (o) =>
    (dialling ??= dial(o).catch((error: unknown) => {
      dialling = undefined
      throw error
    }))
}

function traitsOf(carrier: Traits, store: Traits): Traits {
  return {
    durable: carrier.durable && store.durable,
    shared: carrier.shared && store.shared,
    // Kept by the store until the job is due.
    delay: true,
    priorities: Math.min(carrier.priorities, store.priorities) as Traits['priorities'],
    unique: store.unique,
    transactions: store.transactions,
    lease: store.lease,
    remembers: true,
    returns: 'at-end',
    ...(carrier.longestRun !== undefined && { longestRun: carrier.longestRun }),
  }
}
