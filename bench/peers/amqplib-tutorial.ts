// What a reader of the tutorial has: amqplib's own examples/tutorials/new_task.js and worker.js, that is a durable queue,
// persistent messages, no confirms, prefetch 1, and an ack for each.
import { connect } from 'amqplib'
import { remains } from '../rabbitmq/remains.js'
import { namespaceOf, serviceUrl } from '../rabbitmq/service.js'
import type { Input, Peer, Queue } from '../subject.js'
import { versionOf } from '../versions.js'

export const amqplibTutorial: Peer = {
  name: 'amqplib-tutorial',
  product: `amqplib ${versionOf('amqplib')} as in its tutorial`,
  durability: 'classic queue, not confirmed',
  // Not those that only enqueue: without confirms it would be measured at writing into its own memory.
  cases: ['drain', 'latency-local-p50', 'latency-cross-p50'],
  latency: { jobs: 200, longestPause: 50 },
  open,
}

async function open(folder: string): Promise<Queue> {
  const queue = `${namespaceOf(folder)}.task_queue`
  const connection = await connect(serviceUrl())
  const channel = await connection.createChannel()
  await channel.assertQueue(queue, { durable: true })
  let enqueued = 0
  const send = (input: Input) => {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify(input)), { persistent: true })
    enqueued += 1
  }
  return {
    enqueue: (input) => Promise.resolve(send(input)),
    async enqueueMany(inputs) {
      for (const input of inputs) send(input)
      await channel.checkQueue(queue) // so that they wait in the queue, and not in this process, when they are worked off
    },
    async work({ onStart }) {
      const working = await connection.createChannel()
      await working.prefetch(1)
      const { consumerTag } = await working.consume(
        queue,
        (message) => {
          if (message === null) return
          onStart(JSON.parse(message.content.toString()) as Input, 'measured')
          working.ack(message)
        },
        { noAck: false },
      )
      return {
        async stop() {
          await working.cancel(consumerTag)
          await working.close()
        },
      }
    },
    count: () => remains(channel, enqueued, { waiting: [queue], dead: [] }),
    close: () => connection.close(),
  }
}
