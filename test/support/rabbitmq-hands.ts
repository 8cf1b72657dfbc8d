// A driver on RabbitMQ and a hand that takes jobs from it, for tests of what is RabbitMQ's own.
import { connect as dial, type Channel, type ConfirmChannel } from 'amqplib'
import { expect } from 'vitest'
import type { Consumer, Delivery, Driver } from '../../src/driver/driver.js'
import { guard } from '../../src/driver/guard.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import type { RabbitmqOptions } from '../../src/drivers/rabbitmq/options.js'
import { namesOf, type Names } from '../../src/drivers/rabbitmq/topology.js'
import type { RabbitmqPlace } from './rabbitmq-places.js'
import { rabbitmqPlace } from './rabbitmq-places.js'
import type { Rabbitmq } from './rabbitmq.js'

export interface Site {
  readonly place: RabbitmqPlace
  readonly names: Names
  /** A connected driver: one process. */
  driver(o?: RabbitmqOptions & { publishTimeout?: number; said?: string[] }): Promise<Driver>
  hand(driver: Driver, o?: { queue?: string; prefetch?: number }): Promise<Hand>
  /** A plain AMQP channel, of somebody who knows nothing of Millrace. */
  channel(): Promise<ConfirmChannel>
  /** Every message of a queue or stream, taken nowhere. */
  peek(queue: string, o?: { stream?: boolean }): Promise<readonly Peeked[]>
  end(): Promise<void>
}

export interface Peeked {
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
}

export interface Hand {
  readonly consumer: Consumer
  readonly deliveries: Delivery[]
  next(): Promise<Delivery>
}

export async function site(on: Rabbitmq): Promise<Site> {
  const place = await rabbitmqPlace(on)
  const names = namesOf(place.broker.prefix!, undefined)
  const ends: (() => unknown)[] = []
  return {
    place,
    names,
    async driver({ publishTimeout = 10_000, said, ...options } = {}) {
      const driver = guard(rabbitmq({ ...place.broker, ...options }))
      const log = (_: string, message: string) => void said?.push(message)
      await driver.connect({ migrate: true, publishTimeout, log })
      ends.push(() => driver.close())
      return driver
    },
    async hand(driver, { queue = 'q', prefetch = 10 } = {}) {
      const deliveries: Delivery[] = []
      let taken = 0
      const onDelivery = (delivery: Delivery) => void deliveries.push(delivery)
      const consumer = await driver.broker.consume({ queue, worker: 'w', prefetch, onDelivery })
      ends.push(() => consumer.stop())
      return {
        consumer,
        deliveries,
        async next() {
          await expect.poll(() => deliveries.length, { timeout: 15_000, interval: 2 }).toBeGreaterThan(taken)
          return deliveries[taken++]!
        },
      }
    },
    async channel() {
      const connection = await dial(on.url)
      connection.on('error', () => {})
      ends.push(() => connection.close().catch(() => {}))
      return connection.createConfirmChannel()
    },
    async peek(queue, { stream = false } = {}) {
      const connection = await dial(on.url)
      try {
        const channel = await connection.createChannel()
        return stream ? await streamed(channel, queue) : await held(channel, queue)
      } finally {
        await connection.close() // what was taken goes back
      }
    },
    async end() {
      for (const end of ends.splice(0).reverse()) await end()
      await place.destroy()
    },
  }
}

async function held(channel: Channel, queue: string): Promise<readonly Peeked[]> {
  const found: Peeked[] = []
  for (;;) {
    const message = await channel.get(queue)
    if (!message) return found
    found.push({ body: message.content.toString(), headers: message.properties.headers ?? {} })
  }
}

async function streamed(channel: Channel, queue: string): Promise<readonly Peeked[]> {
  const found: Peeked[] = []
  await channel.prefetch(100)
  await channel.consume(
    queue,
    (message) => {
      if (message) found.push({ body: message.content.toString(), headers: message.properties.headers ?? {} })
    },
    { arguments: { 'x-stream-offset': 'first' } },
  )
  await expect.poll(() => found.length, { timeout: 15_000 }).toBeGreaterThan(0)
  return found
}
