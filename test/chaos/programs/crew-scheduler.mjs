// A worker of the chaos runs with one schedule, that of every other worker: a tick each second, none left out.
import { connect, createLogger, schedule } from 'millrace'
import { endWithRunner, effect, options } from './effects.mjs'

endWithRunner()

const client = await connect(options.url, { log: createLogger('info'), retention: { completed: '3650d' } })
const worker = await client.work(
  {
    handlers: [
      schedule('second', { cron: '* * * * * *', missed: 'all' }, (tick, ctx) => {
        effect('begin', tick.local, ctx.job.id, 0, ctx.job.attempt)
      }),
    ],
  },
  { signals: true },
)
// The name by which the store knows it: whoever holds the lease stands there.
console.log(`worker ${worker.id}`)
console.log('ready')
