// Places for rabbitmq: a prefix of their own in the run's vhost, behind a proxy that can take the broker away.
import { connect as dial } from 'amqplib'
import type { RabbitmqOptions } from '../../src/drivers/rabbitmq/options.js'
import { DELAY_LEVELS, namesOf } from '../../src/drivers/rabbitmq/topology.js'
import { startProxy } from './proxy.js'
import type { Rabbitmq } from './rabbitmq.js'

/** What a `Place` of the conformance suite needs besides its driver. */
export interface RabbitmqPlace {
  /** For every driver of the place. */
  readonly broker: RabbitmqOptions
  outage(): Promise<{ end(): Promise<void> }>
  destroy(): Promise<void>
}

/** So many places are cleared together: asking for the names of all queues takes a second. */
const CLEARED_TOGETHER = 10

let made = 0
const left: string[] = []

export async function rabbitmqPlace(rabbitmq: Rabbitmq): Promise<RabbitmqPlace> {
  const prefix = `t${process.pid}x${made++}`
  const { hosts, username, password, vhost } = rabbitmq.settings
  const proxy = await startProxy(hosts[0]!)
  return {
    broker: { hosts: `127.0.0.1:${proxy.port}`, username, password, vhost, prefix },
    async outage() {
      proxy.away()
      return { end: async () => proxy.mend() }
    },
    async destroy() {
      await proxy.close()
      await clearDelays(rabbitmq, [prefix])
      left.push(prefix)
      // What is left over goes with the vhost of the run.
      if (left.length >= CLEARED_TOGETHER) await clear(rabbitmq, left.splice(0))
    },
  }
}

/**
 * Deletes the delays of these places, whose names are known. RabbitMQ counts three files for each quorum queue, open or not, and
 * takes no connection any more when they are as many as it may open: with the usual limit of 1,024 those are 300 queues.
 */
export async function clearDelays(rabbitmq: Rabbitmq, prefixes: readonly string[]): Promise<void> {
  const connection = await dial(rabbitmq.url)
  const channel = await connection.createChannel()
  const levels = Array.from({ length: DELAY_LEVELS }, (_, level) => level)
  for (const prefix of prefixes) {
    const names = namesOf(prefix, undefined)
    await Promise.all(levels.map((level) => channel.deleteQueue(names.delay(level))))
  }
  await connection.close()
}

/** Deletes what these places have declared. */
async function clear(rabbitmq: Rabbitmq, prefixes: readonly string[]): Promise<void> {
  const names = await rabbitmq.names()
  if (!names) return
  const ours = (name: string) => prefixes.some((one) => name.startsWith(`${one}.`))
  const connection = await dial(rabbitmq.url)
  const channel = await connection.createChannel()
  for (const queue of names.queues.filter(ours)) await channel.deleteQueue(queue)
  for (const exchange of names.exchanges.filter(ours)) await channel.deleteExchange(exchange)
  await connection.close()
}
