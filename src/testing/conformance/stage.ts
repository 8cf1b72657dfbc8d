// What a case works with: drivers, clients and workers on its own place, all of them ended with the case.
import assert from 'node:assert/strict'
import type { ClientOptions } from '../../client/types.js'
import { createClient, type Client } from '../../connect.js'
import type { Envelope } from '../../core/envelope.js'
import { newId } from '../../core/id.js'
import type {
  ConnectOptions,
  Consumer,
  Delivery,
  Driver,
  JobRecord,
  StatefulDriver,
  Traits,
  WorkerInfo,
} from '../../driver/driver.js'
import { statefulOf } from '../../driver/bare.js'
import { guard } from '../../driver/guard.js'
import type { OpenOptions, Place } from './place.js'

export { assert }
export const QUEUE = 'q'
/** Results are asked for as a broker without a store wants it; where there is one, it changes nothing. */
export const REPLY = { reply: true } as const

export interface Stage {
  readonly place: Place
  readonly traits: Traits
  /** A connected driver: one process. What a bare broker lacks is there, and refuses. `ledger`: it keeps the books of another broker. */
  driver(o?: OpenOptions & { ledger?: boolean }): Promise<StatefulDriver<any>>
  /** A client on a driver of its own. `wrap` may change the driver first. */
  client(o?: OpenOptions & ClientOptions & { wrap?: (driver: StatefulDriver<any>) => StatefulDriver<any> }): Client<any>
  /** A worker's hand on the driver: beats once, then takes deliveries from the queue. `mortal`: its process dies in the case. */
  hand(driver: StatefulDriver<any>, o?: { prefetch?: number; queue?: string; mortal?: boolean }): Promise<Hand>
  /** Run at the end of the case, newest first. */
  after(end: () => unknown): void
}

export interface Hand {
  readonly worker: string
  readonly consumer: Consumer
  readonly deliveries: Delivery<any>[]
  /** The next delivery that nobody took yet. */
  next(): Promise<Delivery<any>>
  beat(info?: Partial<WorkerInfo>): Promise<{ readonly revoked: readonly string[]; readonly paused: readonly string[] }>
  leave(): Promise<void>
}

/** @internal */
export function createStage(place: Place): { readonly stage: Stage; end(): Promise<void> } {
  const ends: (() => unknown)[] = []
  const stage: Stage = {
    place,
    traits: place.open({}).traits,
    after: (end) => void ends.push(end),
    async driver({ ledger, ...o } = {}) {
      const driver = guard<any>(statefulOf<any>(place.open(o) as Driver<any>))
      await driver.connect({ ...CONNECT, ...(ledger !== undefined && { ledger }) })
      ends.push(() => driver.close())
      return driver
    },
    client({ lease, maxCrashes, wrap, ...options } = {}) {
      const opened: Driver<any> = place.open({
        ...(lease !== undefined && { lease }),
        ...(maxCrashes !== undefined && { maxCrashes }),
      }) as Driver<any>
      const client = createClient<any>(wrap ? wrap(statefulOf<any>(opened)) : opened, {
        log: SILENT,
        ...options,
      })
      ends.push(() => client.close({ grace: 0 }))
      return client
    },
    async hand(driver, { prefetch = 10, queue = QUEUE, mortal = false } = {}) {
      const worker = newId()
      const deliveries: Delivery<any>[] = []
      let taken = 0
      const beat: Hand['beat'] = (info = {}) => driver.workers.beat({ worker, info: { ...INFO, ...info } })
      await beat()
      const consumer = await driver.broker.consume({
        queue,
        worker,
        prefetch,
        onDelivery: (delivery) => void deliveries.push(delivery),
      })
      if (!mortal) ends.push(() => consumer.stop())
      return {
        worker,
        consumer,
        deliveries,
        beat,
        leave: () => driver.workers.leave({ worker }),
        async next() {
          await until(() => deliveries.length > taken, 'a delivery')
          return deliveries[taken++]!
        },
      }
    },
  }
  return {
    stage,
    async end() {
      for (const end of ends.reverse()) await end()
    },
  }
}

const quiet = () => {}
export const SILENT = { debug: quiet, info: quiet, warn: quiet, error: quiet }
export const CONNECT: ConnectOptions = { migrate: true, publishTimeout: 10_000, log: quiet }
export const INFO: WorkerInfo = {
  pid: process.pid,
  host: 'test',
  queues: [QUEUE],
  tasks: [],
  concurrency: 1,
  running: 0,
  jobs: [],
  abandoned: 0,
  load: 0,
  loopDelay: 0,
  startedAt: 0,
  stopping: false,
}

/** Wait for something to become true; a failure names it. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 15_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`Waited ${ms} ms in vain for ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** An envelope with what a case cares about. */
export function envelope(o: Partial<Envelope> = {}): Envelope {
  return {
    id: newId(),
    queue: QUEUE,
    name: 'task',
    body: '{}',
    headers: {},
    priority: 4,
    enqueuedAt: Date.now(),
    keep: { completed: 60_000, dead: 60_000 },
    ...o,
  }
}

export async function recordOf(driver: StatefulDriver<any>, id: string): Promise<JobRecord> {
  const [record] = await driver.jobs.get({ ids: [id] })
  assert.ok(record, `job ${id} is there`)
  return record
}

/** The code of the error that `call` rejects with or throws. */
export async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call()
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error)
  }
  return 'no error'
}

/** A promise and the hands on it. */
export function deferred<T = void>(): { promise: Promise<T>; resolve(value: T): void; reject(error: Error): void } {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]))
  return { promise, resolve, reject }
}

export const ERROR = { name: 'Error', message: 'on purpose', at: 0 }
