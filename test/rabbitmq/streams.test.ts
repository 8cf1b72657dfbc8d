// Streams of ours are read without being written to, and to their very end.
import type { ConsumeMessage } from 'amqplib'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { envelope } from '../../src/testing/conformance/stage.js'
import { site, type Site } from '../support/rabbitmq-hands.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

await describeRabbitmq('streams', (rabbitmq) => {
  let here: Site
  beforeEach(async () => {
    here = await site(rabbitmq)
  })
  afterEach(() => here.end())

  /** How many messages a stream holds: up to one that is written for that. */
  async function sizeOf(queue: string): Promise<number> {
    const channel = await here.channel()
    await channel.prefetch(500)
    channel.sendToQueue(queue, Buffer.alloc(0), { messageId: 'last', persistent: true })
    return new Promise((resolve) => {
      let count = 0
      const take = (message: ConsumeMessage | null) => {
        if (!message) return
        channel.ack(message)
        if (message.properties.messageId === 'last') resolve(count)
        else count += 1
      }
      void channel.consume(queue, take, { arguments: { 'x-stream-offset': 'first' } })
    })
  }

  it('to look at dead jobs and queues leaves nothing behind', { timeout: 30_000 }, async () => {
    const driver = await here.driver()
    await driver.broker.publish({ envelopes: [envelope()] })
    const job = await (await here.hand(driver)).next()
    await job.dead({ reason: 'failed', error: { name: 'Error', message: 'no', at: Date.now() } })
    for (let n = 0; n < 5; n++) {
      expect((await driver.deadLetters!.list({ limit: 10 })).jobs).toHaveLength(1)
      expect(await driver.broker.list()).toEqual(['q'])
    }
    expect(await sizeOf(here.names.dead)).toBe(1)
    // The first look at an empty one may have left a mark.
    expect(await sizeOf(here.names.catalogue)).toBeLessThanOrEqual(2)
  })

  it('all of it is read, also while others write', { timeout: 60_000 }, async () => {
    const driver = await here.driver()
    await driver.setup()
    const envelopes = Array.from({ length: 3000 }, () => envelope())
    await driver.broker.publish({ envelopes })
    const error = { name: 'Error', message: 'no', at: Date.now() }
    const hand = await here.hand(driver, { prefetch: 500 })
    const dying: Promise<void>[] = []
    let read = Promise.resolve(0)
    for (let n = 0; n < envelopes.length; n++) {
      dying.push((await hand.next()).dead({ reason: 'failed', error }))
      if (n === 1500) read = driver.deadLetters!.list({ limit: 5000 }).then(({ jobs }) => jobs.length)
    }
    await Promise.all(dying)
    expect(await read).toBeGreaterThan(0)
    expect((await driver.deadLetters!.list({ limit: 5000 })).jobs).toHaveLength(3000)
  })
})
