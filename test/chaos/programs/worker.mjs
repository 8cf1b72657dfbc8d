// A worker process for chaos tests: writes each start and end of a handler to a ledger file, then takes its time.
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, defineTask, handle, unchecked } from 'millrace'

const { URL_, LEDGER, CONCURRENCY = '10', PAUSE = '5' } = process.env
const task = defineTask('chaos', { input: unchecked(), retry: { maxAttempts: 3 } })
const client = await connect(URL_)
await client.work(
  {
    concurrency: Number(CONCURRENCY),
    handlers: [
      handle(task, async ({ n, poison }, ctx) => {
        appendFileSync(LEDGER, `start ${n} ${ctx.job.attempt} ${ctx.job.crashes}\n`)
        ctx.stopping.addEventListener('abort', () => appendFileSync(LEDGER, `stopping ${n}\n`))
        if (poison) process.kill(process.pid, 'SIGKILL')
        await sleep(Number(PAUSE))
        appendFileSync(LEDGER, `end ${n}\n`)
      }),
    ],
  },
  { signals: true },
)
console.log('ready')
