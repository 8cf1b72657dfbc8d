// The guard around a driver that can do nothing but carry messages.
import { describe, expect, it } from 'vitest'
import { createClient } from '../connect.js'
import { defineEvent } from '../core/event.js'
import { defineTask } from '../core/task.js'
import { envelope, codeOf, ERROR } from '../testing/conformance/stage.js'
import type { Delivery, Driver, State } from './driver.js'
import { guard } from './guard.js'

function bareDriver() {
  const calls: string[] = []
  let deliver!: (delivery: Delivery) => void
  let failure: { code: string } | undefined
  const settle = (verb: string) => async () => {
    calls.push(verb)
    if (failure) throw Object.assign(new Error('on purpose'), failure)
  }
  const driver: Driver = {
    name: 'bare',
    traits: {
      durable: true,
      shared: true,
      delay: false,
      priorities: 0,
      unique: false,
      transactions: 'none',
      lease: 1000,
      remembers: false,
    },
    broker: {
      declare: async () => {},
      list: async () => [],
      remove: async () => {},
      publish: async ({ envelopes }) => envelopes.map(({ id }) => ({ id, duplicate: false })),
      stats: async () => ({ ready: 0 }),
      purge: async () => 0,
      consume: async ({ onDelivery }) => {
        deliver = onDelivery
        return { setPrefetch: () => {}, stop: async () => {}, closed: Promise.resolve(undefined) }
      },
    },
    connect: async () => void calls.push('connect'),
    setup: async () => {},
    ping: async () => {},
    close: async () => void calls.push('close'),
  }
  const delivery: Delivery = {
    envelope: envelope(),
    run: 1,
    attempt: 1,
    crashes: 0,
    suspect: false,
    start: async () => {},
    onLost: () => {},
    note: () => void calls.push('note'),
    ack: settle('ack'),
    retry: settle('retry'),
    dead: settle('dead'),
    release: settle('release'),
  }
  return {
    driver,
    calls,
    fail: (code: string | undefined) => (failure = code === undefined ? undefined : { code }),
    hand: () => deliver(delivery),
  }
}

async function guardedDelivery(bare: ReturnType<typeof bareDriver>): Promise<Delivery> {
  const deliveries: Delivery[] = []
  const { broker } = guard(bare.driver)
  await broker.consume({
    queue: 'q',
    worker: 'w',
    prefetch: 1,
    onDelivery: (delivery) => void deliveries.push(delivery),
  })
  bare.hand()
  return deliveries[0]!
}

describe('the guard', () => {
  it('refuses what the traits deny, and lets the rest through', async () => {
    const { broker } = guard(bareDriver().driver)
    expect(await codeOf(() => broker.publish({ envelopes: [envelope()] }))).toBe('no error')
    for (const denied of [{ notBefore: 1 }, { priority: 9 }, { unique: { key: 'k', until: 'finished' as const } }])
      expect(await codeOf(() => broker.publish({ envelopes: [envelope(), envelope(denied)] }))).toBe('ERR_UNSUPPORTED')
    expect(() => broker.publish({ envelopes: [envelope()], tx: {} as never })).toThrow(/cannot join a transaction/)
  })

  it('refuses children of an ack that the traits deny, and the job can still be settled', async () => {
    const bare = bareDriver()
    const delivery = await guardedDelivery(bare)
    expect(await codeOf(() => delivery.ack({ publish: [envelope({ priority: 9 })] }))).toBe('ERR_UNSUPPORTED')
    await delivery.dead({ reason: 'failed', error: ERROR })
    expect(bare.calls).toEqual(['dead'])
  })

  it('refuses what the traits deny also for jobs that come with an entry', async () => {
    const set: object[] = []
    const state = {
      set: async (o: object) => set.push(o),
    } as unknown as State
    const guarded = guard({ ...bareDriver().driver, state }).state!
    const denied = { key: 'k', value: 'v', publish: [envelope({ notBefore: 1 })] }
    expect(await codeOf(() => guarded.set(denied))).toBe('ERR_UNSUPPORTED')
    await guarded.set({ key: 'k', value: 'v', publish: [envelope()] })
    await guarded.set({ key: 'k', value: 'v' })
    expect(set).toHaveLength(2)
  })

  it('settles once, but again after an outage, and never after a lost lease', async () => {
    const bare = bareDriver()
    const delivery = await guardedDelivery(bare)
    bare.fail('ERR_BROKER_UNAVAILABLE')
    expect(await codeOf(() => delivery.ack())).toBe('ERR_BROKER_UNAVAILABLE')
    bare.fail(undefined)
    delivery.note({ progress: 0.5 })
    await delivery.ack()
    delivery.note({ progress: 1 })
    expect(await codeOf(() => delivery.release())).toBe('ERR_ALREADY_SETTLED')
    expect(bare.calls).toEqual(['ack', 'note', 'ack'])
    const lost = bareDriver()
    const second = await guardedDelivery(lost)
    lost.fail('ERR_LEASE_LOST')
    expect(await codeOf(() => second.ack())).toBe('ERR_LEASE_LOST')
    expect(await codeOf(() => second.retry({ delay: 0, error: ERROR }))).toBe('ERR_ALREADY_SETTLED')
  })

  it('dials once, closes once, and refuses what comes after', async () => {
    const { driver, calls } = bareDriver()
    const guarded = guard(driver)
    const options = { migrate: true, publishTimeout: 1, log: () => {} }
    await Promise.all([guarded.connect(options), guarded.connect(options)])
    await Promise.all([guarded.close(), guarded.close()])
    expect(calls).toEqual(['connect', 'close'])
    for (const call of [
      () => guarded.connect(options),
      () => guarded.ping(),
      () => guarded.setup(),
      () => guarded.broker.list(),
    ])
      expect(await codeOf(call)).toBe('ERR_CLIENT_CLOSED')
  })

  it('puts its span around publishing and settling', async () => {
    const spans: string[] = []
    const { broker } = guard(bareDriver().driver, (name, attributes, call) => {
      spans.push(`${name} ${JSON.stringify(attributes)}`)
      return call()
    })
    await broker.publish({ envelopes: [envelope()] })
    expect(spans).toEqual(['publish {"count":1}'])
  })
})

describe('a client on a driver without a store', () => {
  it('does what it can, and says what is missing where it is asked for', async () => {
    const client = createClient(bareDriver().driver)
    const job = await client.enqueue(defineTask('x'))
    for (const [call, words] of [
      [() => client.workers.list(), 'tell which workers there are'],
      [() => client.jobs.list({ states: ['dead'] }), 'list jobs'],
      [() => client.jobs.retry(job.id), 'retry jobs'],
      [() => job.cancel(), 'cancel jobs'],
      [() => client.schedules.list(), 'keep schedules'],
      [() => client.publish(defineEvent('e')), 'publish events'],
      [() => client.enqueue(defineTask('x'), undefined, { reply: true }), 'answer with the result of a job'],
    ] as const) {
      const error = await Promise.resolve(call()).then(
        () => undefined,
        (thrown: { code?: string; message: string }) => thrown,
      )
      expect(error?.code).toBe('ERR_UNSUPPORTED')
      expect(error?.message).toContain(`The bare driver cannot ${words}: `)
      expect(error?.message).toContain('add a store')
    }
    await client.close()
  })
})
