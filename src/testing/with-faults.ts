// A driver that fails on purpose: wraps any other at the seam, below the client, and strikes where its faults say.
import { setTimeout as sleep } from 'node:timers/promises'
import { LONGEST_TIMER } from '../core/duration.js'
import { PARENT_HEADER, type Envelope } from '../core/envelope.js'
import { BrokerUnavailableError, LeaseLostError, UnsupportedError } from '../core/errors.js'
import type { Broker, ConsumeOptions, Consumer, Delivery, Driver, StatefulDriver, Workers } from '../driver/driver.js'
import type { Events } from '../driver/events.js'
import type { Receipt } from '../driver/receipts.js'
import { wrapDelivery } from '../driver/wrap.js'
import { createLostSwitch } from '../driver/polling.js'
import { eventMark, planFaults, type Fault, type FaultPlan, type FaultPoint, type Strike } from './faults.js'

/** A driver with faults. */
export interface Faulty {
  /** Faults that have not struck as often as they should: a test that counts on them expects none. */
  pendingFaults(): readonly Fault[]
}

/**
 * The same driver, with faults: where several fit, the first of the list that has not struck often enough does. Work that
 * joins a transaction of the caller (`{ tx }`) is left alone.
 * @throws ConfigurationError for a fault that makes no sense; UnsupportedError for a crash on a driver without workers
 */
export function withFaults<Tx>(driver: StatefulDriver<Tx>, faults: readonly Fault[]): StatefulDriver<Tx> & Faulty
export function withFaults<Tx>(driver: Driver<Tx>, faults: readonly Fault[]): Driver<Tx> & Faulty
export function withFaults<Tx>(driver: Driver<Tx>, faults: readonly Fault[]): Driver<Tx> & Faulty {
  const plan = planFaults(faults)
  if (driver.workers === undefined && faults.some((fault) => fault.do === 'crash'))
    throw new UnsupportedError(`The ${driver.name} driver knows no workers, so none can crash. Leave the crashes out.`)
  const house = createHouse(driver, plan)
  const { workers } = driver
  return {
    ...driver,
    broker: faultyBroker(house),
    ...(driver.events && { events: faultyEvents(house, driver.events) }),
    ...(workers && {
      workers: {
        list: () => workers.list(),
        leave: (o) => workers.leave(o),
        beat(o) {
          house.beats.set(o.worker, o)
          return workers.beat(o)
        },
      },
    }),
    connect(o) {
      house.log = o.log
      return driver.connect(o)
    },
    setup: () => driver.setup(),
    ping: () => driver.ping(),
    close() {
      house.over.abort()
      return driver.close()
    },
    pendingFaults: plan.pending,
  }
}

/** A delivery in a worker's hands. */
interface Held {
  readonly worker: string
  readonly inner: Delivery<any>
  /** Its worker has crashed: nothing is written by this run any more. */
  gone: boolean
  lose(): void
}

/** What the wrapped parts share. */
interface House<Tx> {
  readonly driver: Driver<Tx>
  readonly plan: FaultPlan
  readonly held: Set<Held>
  /** The last beat of each worker. */
  readonly beats: Map<string, Parameters<Workers['beat']>[0]>
  /** Jobs whose last run ended with a crash, and that run. */
  readonly orphans: Map<string, number>
  /** Jobs whose ack was lost once: the copy that comes is not doubled again. */
  readonly doubled: Set<string>
  /** The driver is closed: no delay goes on. */
  readonly over: AbortController
  log: Parameters<Driver['connect']>[0]['log']
}

function createHouse<Tx>(driver: Driver<Tx>, plan: FaultPlan): House<Tx> {
  return {
    driver,
    plan,
    held: new Set(),
    beats: new Map(),
    orphans: new Map(),
    doubled: new Set(),
    over: new AbortController(),
    log: () => {},
  }
}

function faultyBroker<Tx>(house: House<Tx>): Broker<Tx> {
  const { broker } = house.driver
  return {
    declare: (o) => broker.declare(o),
    list: () => broker.list(),
    remove: (o) => broker.remove(o),
    stats: (o) => broker.stats(o),
    purge: (o) => broker.purge(o),
    consume: (o) => consume(house, o),
    publish: (o) =>
      o.tx === undefined
        ? publish(
            house,
            o.envelopes,
            ({ name }) => name,
            () => broker.publish(o),
          )
        : broker.publish(o),
  }
}

function faultyEvents<Tx>(house: House<Tx>, events: Events<Tx>): Events<Tx> {
  return {
    declare: (o) => events.declare(o),
    subscriptions: () => events.subscriptions(),
    remove: (o) => events.remove(o),
    publish: (o) =>
      o.tx === undefined
        ? publish(
            house,
            o.events,
            ({ name }) => eventMark(name),
            () => events.publish(o),
          )
        : events.publish(o),
  }
}

/** Jobs and events alike. @param send sends them; again, for a duplicate */
async function publish<Tx, One extends Pick<Envelope, 'id' | 'name' | 'headers'>>(
  house: House<Tx>,
  all: readonly One[],
  nameOf: (one: One) => string,
  send: () => Promise<readonly Receipt[]>,
): Promise<readonly Receipt[]> {
  const names = all.map(nameOf)
  // What a handler publishes carries its job's id: with it its worker may crash, and after that it publishes nothing more.
  const parent = all[0]?.headers[PARENT_HEADER]
  const run = [...house.held].find((one) => one.inner.envelope.id === parent)
  const orphaned = parent === undefined ? undefined : house.orphans.get(parent)
  if (parent !== undefined && orphaned !== undefined) throw new LeaseLostError(parent, orphaned)
  const ids = all.map(({ id }) => id)
  return struck(house, { at: 'publish', names, ids, run }, async () => {
    const receipts = await send()
    if (house.plan.strike('publish', 'again', names)) {
      house.log('debug', 'A fault strikes: published twice.', { ids })
      await send()
    }
    return receipts
  })
}

async function consume<Tx>(house: House<Tx>, o: ConsumeOptions<Tx>): Promise<Consumer> {
  const stopped = new AbortController()
  const late = new Set<Promise<void>>()

  async function hand(strike: Strike, held: Held, delivery: Delivery<Tx>): Promise<void> {
    house.log('debug', `A fault strikes: ${strike.kind} at delivery.`, { job: delivery.envelope.id })
    if (strike.kind === 'crash') return crash(house, o.worker)
    if (strike.kind === 'delay') await pause(strike.ms, stopped.signal)
    if (strike.kind === 'delay' && !stopped.signal.aborted && !held.gone) return o.onDelivery(delivery)
    house.held.delete(held)
    await held.inner.release({ why: 'stop' })
  }

  const consumer = await house.driver.broker.consume({
    ...o,
    onDelivery(inner) {
      const { held, delivery } = faultyDelivery(house, o.worker, inner)
      house.orphans.delete(inner.envelope.id)
      house.held.add(held)
      const strike = house.plan.strike('delivery', 'before', [inner.envelope.name])
      if (!strike) return o.onDelivery(delivery)
      const handed = hand(strike, held, delivery)
        .catch((error: unknown) => house.log('debug', 'A fault found the job taken away.', { error }))
        .finally(() => late.delete(handed))
      late.add(handed)
    },
  })
  const stopDelays = () => stopped.abort()
  house.over.signal.addEventListener('abort', stopDelays)
  return {
    setPrefetch: (n) => consumer.setPrefetch(n),
    closed: consumer.closed,
    async stop() {
      house.over.signal.removeEventListener('abort', stopDelays)
      stopDelays()
      await Promise.all(late)
      await consumer.stop()
    },
  }
}

function faultyDelivery<Tx>(house: House<Tx>, worker: string, inner: Delivery<Tx>) {
  const { id, name } = inner.envelope
  const lost = createLostSwitch()
  const held: Held = { worker, inner, gone: false, lose: () => lost.lose('lease') }
  inner.onLost((why) => {
    if (why !== 'cancelled') house.held.delete(held)
    lost.lose(why)
  })
  const write = (at: FaultPoint, call: () => Promise<void>): Promise<void> =>
    struck(house, { at, names: [name], ids: [id], run: held }, async () => {
      await call()
      if (at !== 'start') house.held.delete(held)
    })
  const delivery = wrapDelivery(inner, {
    onLost: lost.onLost,
    note(o) {
      if (!held.gone) inner.note(o)
    },
    start: () => write('start', () => inner.start()),
    ack: (o) =>
      o?.tx !== undefined && !held.gone
        ? inner.ack(o)
        : write('ack', () => {
            if (house.doubled.has(id) || !house.plan.strike('delivery', 'again', [name])) return inner.ack(o)
            house.doubled.add(id)
            house.log('debug', 'A fault strikes: the ack is lost, and the job is handed over again.', { job: id })
            return inner.release({ why: 'stop' })
          }),
    retry: (o) => write('retry', () => inner.retry(o)),
    dead: (o) => write('dead', () => inner.dead(o)),
    release: (o) => write('release', () => inner.release(o)),
  })
  return { held, delivery }
}

/** Make a call, with what strikes before and after it. `run`: the delivery in whose name it is made, if there is one. */
async function struck<T>(
  house: House<any>,
  o: {
    readonly at: FaultPoint
    readonly names: readonly string[]
    readonly ids: readonly string[]
    readonly run: Held | undefined
  },
  call: () => Promise<T>,
): Promise<T> {
  const refuseGone = () => {
    if (o.run?.gone) throw new LeaseLostError(o.run.inner.envelope.id, o.run.inner.run)
  }
  async function suffer(when: 'before' | 'after', outcome: 'not-sent' | 'unknown'): Promise<void> {
    const strike = house.plan.strike(o.at, when, o.names)
    if (!strike) return
    house.log('debug', `A fault strikes: ${strike.kind} ${when} ${o.at}.`, { ids: o.ids })
    if (strike.kind === 'delay') return pause(strike.ms, house.over.signal)
    if (strike.kind === 'crash' && o.run) {
      o.run.gone = true
      return crash(house, o.run.worker)
    }
    throw new BrokerUnavailableError(`Fault injected: ${strike.kind} ${when} ${o.at}.`, { outcome, ids: o.ids })
  }
  refuseGone()
  await suffer('before', 'not-sent')
  refuseGone() // it may have crashed meanwhile
  const answer = await call()
  await suffer('after', 'unknown')
  refuseGone()
  return answer
}

/** As after kill -9 and a restart: what the worker held comes back as suspect, and nobody writes for its runs any more. */
async function crash(house: House<any>, worker: string): Promise<void> {
  const { workers } = house.driver
  const lost = [...house.held].filter((one) => one.worker === worker)
  for (const one of lost) {
    house.held.delete(one)
    house.orphans.set(one.inner.envelope.id, one.inner.run)
    one.gone = true
  }
  await workers!.leave({ worker, crashed: true })
  const beat = house.beats.get(worker)
  if (beat) await workers!.beat(beat)
  for (const one of lost) {
    one.lose()
    // The store refuses it, for the run is over; but so the consumer learns that its credit is free again.
    await one.inner.release().catch(() => {})
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(ms, LONGEST_TIMER), undefined, { signal }).catch(() => {})
}
