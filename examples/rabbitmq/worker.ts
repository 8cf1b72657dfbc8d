// A worker on RabbitMQ. Start as many as you like, on as many machines as you like:
//   npx millrace work examples/rabbitmq/worker.ts --url amqp://localhost
import { setTimeout as work } from 'node:timers/promises'
import { defineWorker, handle } from 'millrace'
import { makeThumbnail } from './contracts.js'

export default defineWorker({
  concurrency: 4,
  handlers: [
    handle(makeThumbnail, async ({ picture, width }, ctx) => {
      ctx.log.info({ width }, `scaling ${picture}`)
      await work(200, undefined, { signal: ctx.signal })
      ctx.log.info({ width }, `made a thumbnail of ${picture}`)
      return { file: `${picture}@${width}.webp`, pid: process.pid }
    }),
  ],
})
