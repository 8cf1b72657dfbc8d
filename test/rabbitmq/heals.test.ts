// P19 on a RabbitMQ of its own: restarts and memory alarms, seen by who publishes and who consumes, over many seconds of outage.
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import type { Delivery, Driver } from '../../src/driver/driver.js'
import { guard } from '../../src/driver/guard.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { optionsFromUrl } from '../../src/drivers/rabbitmq/url.js'
import { envelope } from '../../src/testing/conformance/stage.js'
import { installed, startRabbitmq } from '../support/rabbitmq-node.js'

const there = installed('rabbitmq-server') !== undefined
if (!there) process.stderr.write('\nSkipped: RabbitMQ that is restarted: rabbitmq-server is not installed here\n')

describe.skipIf(!there)('a RabbitMQ that goes and comes', { timeout: 150_000 }, () => {
  const starting = there ? startRabbitmq() : undefined
  const drivers: Driver[] = []
  let made = 0
  afterEach(async () => {
    await Promise.all(drivers.splice(0).map((driver) => driver.close()))
  })
  afterAll(async () => {
    await (await starting)?.stop()
  }, 60_000)

  async function open(publishTimeout = 10_000): Promise<Driver> {
    const { url } = await starting!
    const driver = guard(rabbitmq({ ...optionsFromUrl(url), prefix: `h${made}` }))
    await driver.connect({ migrate: true, publishTimeout, log: () => {} })
    drivers.push(driver)
    return driver
  }

  async function consume(driver: Driver, prefetch = 10) {
    const done: string[] = []
    const onDelivery = (delivery: Delivery) =>
      void delivery.ack().then(
        () => done.push(delivery.envelope.id),
        () => {},
      )
    const consumer = await driver.broker.consume({ queue: 'q', worker: 'w', prefetch, onDelivery })
    return { done, consumer }
  }

  it('a restart: who published and consumed goes on by himself within 5 s', async () => {
    made++
    const node = await starting!
    const [producer, worker] = [await open(5_000), await open()]
    const { done } = await consume(worker)
    await producer.broker.publish({ envelopes: [envelope()] })
    await expect.poll(() => done.length, { timeout: 10_000 }).toBe(1)
    await node.stopApp()
    const refused = await producer.broker.publish({ envelopes: [envelope()] }).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'ERR_BROKER_UNAVAILABLE', outcome: 'not-sent' })
    await node.startApp()
    const back = performance.now()
    const job = envelope()
    await producer.broker.publish({ envelopes: [job] })
    await expect.poll(() => done, { timeout: 10_000, interval: 20 }).toContain(job.id)
    expect(performance.now() - back).toBeLessThan(5_000)
  })

  it('a memory alarm: publishing rejects in time, consuming and stopping go on, and then publishing, too', async () => {
    made++
    const node = await starting!
    const [producer, worker] = [await open(1_000), await open(1_000)]
    await producer.broker.publish({ envelopes: Array.from({ length: 30 }, () => envelope()) })
    const first: Delivery[] = []
    const onDelivery = (delivery: Delivery) => void first.push(delivery)
    const consumer = await worker.broker.consume({ queue: 'q', worker: 'w', prefetch: 5, onDelivery })
    await expect.poll(() => first.length, { timeout: 5_000 }).toBe(5)
    await node.ctl('set_vm_memory_high_watermark', '0.00001')
    try {
      for (const outcomes of [['unknown', 'not-sent'], ['not-sent']]) {
        const since = performance.now()
        const error = await producer.broker.publish({ envelopes: [envelope()] }).catch((one: unknown) => one)
        expect(error).toMatchObject({ code: 'ERR_BROKER_UNAVAILABLE' })
        expect(outcomes).toContain((error as { outcome: string }).outcome)
        expect(performance.now() - since).toBeLessThan(1_500)
      }
      const findings = await (await open(1_000)).inspect!()
      expect(findings.find(({ code }) => code === 'rabbitmq-blocked')).toMatchObject({ level: 'error' })
      await Promise.all(first.map((delivery) => delivery.ack()))
      await expect.poll(() => first.length, { timeout: 5_000 }).toBe(10)
      // What was taken beyond the credit cannot be given back as a copy now.
      const since = performance.now()
      const stopping = consumer.stop()
      await Promise.all(first.slice(5).map((delivery) => delivery.ack()))
      await stopping
      await worker.close()
      expect(performance.now() - since).toBeLessThan(8_000)
    } finally {
      await node.ctl('set_vm_memory_high_watermark', '0.4')
    }
    const job = envelope()
    await expect
      .poll(() => producer.broker.publish({ envelopes: [job] }).then(() => 'done', String), { timeout: 5_000 })
      .toBe('done')
    const { done } = await consume(await open(), 50)
    await expect.poll(() => done, { timeout: 10_000 }).toContain(job.id)
    await expect.poll(() => new Set(done).size, { timeout: 10_000 }).toBeGreaterThanOrEqual(21)
  })
})
