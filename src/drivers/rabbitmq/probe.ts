// What the broker tells and allows, found out when we connect. What cannot carry our promises is refused with the fix.
import type { Channel, ChannelModel } from 'amqplib'
import { ConfigurationError } from '../../core/errors.js'
import { refusalOf } from './errors.js'
import { frameMaxOf } from './socket.js'

/** What the server said of itself. */
export interface Server {
  readonly version: string
  /** Bytes of the longest frame, as agreed. */
  readonly frameMax: number
  /** Where it is, as it may be shown. */
  readonly at: string
}

/** At-least-once dead-lettering, without which a delayed job could be lost: https://www.rabbitmq.com/release-information */
const OLDEST = [3, 10] as const
const NEEDED = ['publisher_confirms', 'basic.nack', 'consumer_cancel_notify', 'connection.blocked'] as const

/** @throws ConfigurationError for a broker that is no RabbitMQ, or too old */
export function serverOf(connection: ChannelModel, at: string): Server {
  const properties = connection.connection.serverProperties as unknown as Readonly<Record<string, unknown>>
  const product = textOf(properties['product'])
  const version = textOf(properties['version'])
  if (product !== 'RabbitMQ')
    throw new ConfigurationError(
      `The broker at ${at} says it is "${product}" ${version}. Millrace needs RabbitMQ 3.10 or later, whose quorum queues keep what was confirmed.`,
    )
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    throw new ConfigurationError(
      `The RabbitMQ at ${at} has version ${version}. Millrace needs 3.10 or later, since older ones may lose a delayed job. Upgrade it.`,
    )
  const capabilities = (properties['capabilities'] ?? {}) as Readonly<Record<string, unknown>>
  const missing = NEEDED.filter((one) => capabilities[one] !== true)
  if (missing.length > 0)
    throw new ConfigurationError(
      `The broker at ${at} (${product} ${version}) does not offer ${missing.join(', ')}. Is something other than RabbitMQ between?`,
    )
  return { version, frameMax: frameMaxOf(connection), at }
}

/** Server properties are texts, or buffers where amqplib leaves them as they come. */
function textOf(value: unknown): string {
  return typeof value === 'string' || Buffer.isBuffer(value) ? String(value) : ''
}

/**
 * What `ask` answers on a channel of its own, since a refusal closes the channel.
 * @throws the broker's refusal, as amqplib tells it
 */
export async function onOwnChannel<T>(connection: ChannelModel, ask: (channel: Channel) => Promise<T>): Promise<T> {
  const channel = await connection.createChannel()
  channel.on('error', () => {})
  let closed = false
  const over = new Promise<void>((resolve) => {
    channel.on('close', () => {
      closed = true
      resolve()
    })
  })
  try {
    return await ask(channel)
  } finally {
    // amqplib does not answer the close of a channel whose connection goes away meanwhile.
    if (!closed) await Promise.race([channel.close().catch(() => {}), over])
  }
}

/** What a user may be allowed of the names that match a pattern, and to write to `amq.default`, which jobs go to: https://www.rabbitmq.com/docs/access-control#authorisation */
export type Permission = 'configure' | 'write' | 'read' | 'default exchange'

/**
 * What our user lacks on names that begin with `prefix`. RabbitMQ looks at permissions before it looks whether the thing is
 * there, so asking for things that are not there tells, and changes nothing.
 */
export async function missingPermissions(connection: ChannelModel, prefix: string): Promise<readonly Permission[]> {
  const name = `${prefix}not-there-${process.pid}`
  const asked: readonly (readonly [Permission, (channel: Channel) => Promise<unknown>])[] = [
    ['configure', (channel) => channel.deleteQueue(name)],
    ['write', (channel) => publishTo(channel, name, '')],
    ['read', (channel) => channel.get(name)],
    ['default exchange', (channel) => publishTo(channel, '', name)],
  ]
  const refused = await Promise.all(
    asked.map(async ([permission, ask]) => {
      const refusal = await onOwnChannel(connection, ask).then(() => undefined, refusalOf)
      return refusal?.code === 403 ? [permission] : []
    }),
  )
  return refused.flat()
}

/** A publish has no answer of its own: the channel's next answer, or its end, comes after it. */
async function publishTo(channel: Channel, exchange: string, key: string): Promise<void> {
  const refused = new Promise<never>((_, reject) => channel.once('error', reject))
  channel.publish(exchange, key, Buffer.alloc(0))
  await Promise.race([refused, channel.prefetch(1)])
}

/** How many messages a queue holds ready, and how many consumers it has; `undefined`: there is no such queue. */
export async function countsOf(
  connection: ChannelModel,
  queue: string,
): Promise<{ readonly messages: number; readonly consumers: number } | undefined> {
  try {
    const { messageCount, consumerCount } = await onOwnChannel(connection, (channel) => channel.checkQueue(queue))
    return { messages: messageCount, consumers: consumerCount }
  } catch (error) {
    if (refusalOf(error)?.code === 404) return undefined
    throw error
  }
}
