// The limit on RabbitMQ: a bare loop of amqplib with the queue arguments, properties, prefetch, confirms and acks that
// Millrace has there, and no queue logic at all. So the ratio is what Millrace costs over the client.
import { randomUUID } from 'node:crypto'
import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib'
import { remains } from '../rabbitmq/remains.js'
import { namespaceOf, serviceUrl } from '../rabbitmq/service.js'
import { DEAD_QUEUE_ARGUMENTS, PREFETCH, propertiesOf, workQueueArguments } from '../rabbitmq/shape.js'
import type { Input, Peer, Queue, WorkOptions } from '../subject.js'
import { versionOf } from '../versions.js'

const TASK = 'bench.measured'

export const amqplib: Peer = {
  name: 'amqplib',
  product: `bare loop of amqplib ${versionOf('amqplib')}`,
  durability: 'quorum, confirmed',
  cases: [
    'bulk-enqueue',
    'single-enqueue-1',
    'single-enqueue-64',
    'drain',
    'latency-local-p50',
    'latency-cross-p50',
    'idle-cpu',
  ],
  latency: { jobs: 200, longestPause: 50 },
  open,
}

async function open(folder: string): Promise<Queue> {
  const url = serviceUrl()
  const names = namesIn(namespaceOf(folder))
  // Two connections, as in Millrace: a broker that blocks publishers must not keep acks waiting.
  const [publishing, consuming] = await Promise.all([dial(url), dial(url)])
  const publisher = await publishing.createConfirmChannel()
  await declare(publisher, names)
  let enqueued = 0
  let returned = 0
  publisher.on('return', () => (returned += 1))

  function publish(input: Input): Promise<void> {
    return new Promise((resolve, reject) => {
      const body = Buffer.from(JSON.stringify(input))
      publisher.publish('', names.work, body, propertiesOf(randomUUID(), TASK), (error: unknown) => {
        if (error !== null) return reject(new Error('The broker refused a message.', { cause: error }))
        enqueued += 1
        resolve()
      })
    })
  }

  return {
    enqueue: publish,
    async enqueueMany(inputs) {
      await confirmed(publisher, inputs, names.work)
      enqueued += inputs.length
    },
    work: (o) => consume(consuming, names.work, o),
    async count() {
      if (returned > 0) throw new Error(`${returned} messages came back: they had no queue.`)
      return remains(publisher, enqueued, { waiting: [names.work], dead: [names.dead] })
    },
    async close() {
      await Promise.all([publishing.close(), consuming.close()])
    },
  }
}

const namesIn = (namespace: string) => ({
  work: `${namespace}.bare`,
  dead: `${namespace}.bare.dead`,
})

function dial(url: string): Promise<ChannelModel> {
  return connect(url, { noDelay: true })
}

async function declare(channel: ConfirmChannel, names: ReturnType<typeof namesIn>): Promise<void> {
  await channel.assertQueue(names.dead, { durable: true, arguments: DEAD_QUEUE_ARGUMENTS })
  await channel.assertQueue(names.work, { durable: true, arguments: workQueueArguments(names.dead) })
}

/** All in one go, and one promise for all of their confirms: nobody writes a promise for each in a bare loop. */
function confirmed(channel: ConfirmChannel, inputs: readonly Input[], queue: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = inputs.length
    const onConfirm = (error: unknown) => {
      if (error !== null) reject(new Error('The broker refused a message.', { cause: error }))
      else if (--left === 0) resolve()
    }
    for (const input of inputs)
      channel.publish('', queue, Buffer.from(JSON.stringify(input)), propertiesOf(randomUUID(), TASK), onConfirm)
  })
}

async function consume(connection: ChannelModel, queue: string, { onStart }: WorkOptions) {
  const channel = await connection.createChannel()
  await channel.prefetch(PREFETCH)
  let last: Parameters<typeof channel.ack>[0] | undefined
  const flush = () => {
    if (last) channel.ack(last, true) // everything up to this one: one frame for all of a turn
    last = undefined
  }
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) return
    onStart(JSON.parse(message.content.toString()) as Input, 'measured')
    if (last === undefined) setImmediate(flush)
    last = message
  })
  return {
    async stop() {
      await channel.cancel(consumerTag)
      flush()
      await channel.close() // answered when the acks have arrived
    },
  }
}
