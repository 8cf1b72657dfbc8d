// What is declared, and what goes over the wire: nothing that RabbitMQ 4.3 refuses, nothing that a plugin must bring.
import { connect as dial, type Channel } from 'amqplib'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { envelope } from '../../src/testing/conformance/stage.js'
import { levelOf, namesOf, workQueue } from '../../src/drivers/rabbitmq/topology.js'
import { workQueueArguments } from '../../bench/rabbitmq/shape.js'
import { delayRoute } from '../../src/drivers/rabbitmq/delay.js'
import { site, type Site } from '../support/rabbitmq-hands.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

it('namespaces and queues of whatever names share no queue', () => {
  const queue = (namespace: string | undefined, name: string) => namesOf('millrace', namespace).level('queue', name)
  const all = [
    queue(undefined, 'a.queue.b'),
    queue('a', 'b'),
    queue('a', 'queue.b'),
    queue('a.queue', 'b'),
    queue('queue', 'a'),
    queue('queue', 'queue.a'),
    queue(undefined, 'queue.a'),
    queue('high', 'a'),
    namesOf('millrace', undefined).level('high', 'queue.a'),
  ]
  expect(new Set(all).size).toBe(all.length)
})

it('a delay goes in at its highest bit, rounded up to a second but for the moment that the consumer holds it', () => {
  const names = namesOf('millrace', undefined)
  const route = (ms: number) => delayRoute(names, ms, 'queue.q')
  expect(route(1)).toEqual({ exchange: names.delay(0), key: `${'0.'.repeat(27)}1.queue.q` })
  expect(route(5_200)).toEqual({ exchange: names.delay(2), key: `${'0.'.repeat(25)}1.0.1.queue.q` })
  expect(route(5_201)).toEqual({ exchange: names.delay(2), key: `${'0.'.repeat(25)}1.1.0.queue.q` })
  expect(route(Infinity)).toEqual({ exchange: names.delay(27), key: `${'1.'.repeat(28)}queue.q` })
})

it('the bare client of the bench is measured on the same kind of queue', () => {
  const names = namesOf('millrace', undefined)
  expect(workQueueArguments(names.dead)).toEqual(workQueue(names).arguments)
})

it('priorities are of three levels', () => {
  expect([0, 3, 4, 5, 9].map(levelOf)).toEqual(['low', 'low', 'queue', 'high', 'high'])
})

await describeRabbitmq('the topology', (rabbitmq) => {
  let here: Site
  beforeEach(async () => {
    here = await site(rabbitmq)
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await here.end()
  })

  it('only durable queues of quorums and streams, prefetch of each consumer alone, and no header of the broker is sent', async () => {
    const { url } = rabbitmq
    const probe = await dial(url)
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(await probe.createConfirmChannel())) as Channel
    await probe.close()
    const declared = vi.spyOn(prototype, 'assertQueue')
    const exchanges = vi.spyOn(prototype, 'assertExchange')
    const prefetched = vi.spyOn(prototype, 'prefetch')
    const sent = vi.spyOn(prototype, 'publish')

    const driver = await here.driver()
    await driver.setup()
    await driver.broker.publish({ envelopes: [envelope(), envelope({ notBefore: Date.now() + 900 })] })
    const hand = await here.hand(driver)
    await (await hand.next()).retry({ delay: 500, error: { name: 'Error', message: 'x', at: 0 } })
    await (await hand.next()).release()
    await (await hand.next()).dead({ reason: 'failed', error: { name: 'Error', message: 'x', at: 0 } })
    await (await hand.next()).ack()
    await driver.deadLetters!.list({ limit: 1 })

    expect(declared.mock.calls.length).toBeGreaterThan(30)
    for (const [name, options] of declared.mock.calls) {
      expect(name).toMatch(new RegExp(`^${here.names.prefix}`))
      expect(options?.durable).toBe(true)
      expect(options?.exclusive ?? options?.autoDelete ?? false).toBe(false)
      const { 'x-queue-type': type, ...rest } = options!.arguments as Record<string, unknown>
      expect(['quorum', 'stream']).toContain(type)
      if (type === 'quorum')
        expect(rest).toMatchObject({
          'x-delivery-limit': expect.any(Number),
          'x-dead-letter-exchange': expect.any(String),
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        })
    }
    for (const [, type] of exchanges.mock.calls) expect(['topic', 'fanout']).toContain(type)
    expect(prefetched.mock.calls.length).toBeGreaterThan(3)
    for (const [count, global] of prefetched.mock.calls) {
      expect(global).toBe(false)
      expect(count).toBeGreaterThan(0)
      expect(count).toBeLessThanOrEqual(2000)
    }
    expect(sent.mock.calls.length).toBeGreaterThan(5)
    for (const [, , , options] of sent.mock.calls)
      expect(Object.keys((options?.headers ?? {}) as object).filter((key) => key.startsWith('x-'))).toEqual([])
  })
})
