// What the bare loop of amqplib has in common with Millrace on RabbitMQ, in one place: queue arguments, properties and
// headers of a message, prefetch. If the driver changes one of these, the comparison is only even when it changes here too.
import type { Options } from 'amqplib'

/** Arguments of a queue where jobs wait, as the driver's topology declares it. */
export const workQueueArguments = (deadQueue: string): Readonly<Record<string, string | number>> => ({
  'x-queue-type': 'quorum',
  'x-delivery-limit': 1_000_000,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': deadQueue,
  'x-dead-letter-strategy': 'at-least-once',
  'x-overflow': 'reject-publish',
})

/** Arguments of the queue that holds what died. */
export const DEAD_QUEUE_ARGUMENTS: Readonly<Record<string, string | number>> = { 'x-queue-type': 'stream' }

/**
 * Messages that a consumer may have in hand. Millrace begins with its concurrency and asks for more while its handlers are
 * quick; the bare loop has from the first moment what it ends with.
 */
export const PREFETCH = 500

/** Properties and headers of a job with nothing but an input. */
export function propertiesOf(id: string, task: string): Options.Publish {
  return {
    mandatory: true,
    deliveryMode: 2,
    contentType: 'application/json',
    messageId: id,
    type: task,
    timestamp: Math.floor(Date.now() / 1000),
    headers: {}, // Millrace sends those that say something, and nothing is to be said here
  }
}
