// A worker of the long chaos runs: does what each job's input says, and writes every begin and end to the effects file.
import { setTimeout as sleep } from 'node:timers/promises'
import { NonRetryableError, connect, createLogger, handle } from 'millrace'
import { effect, endWithRunner, options, runOf, tapped } from './effects.mjs'
import { patient, placeOf } from './place.mjs'
import { hang, work } from './tasks.mjs'

endWithRunner()

async function run({ kind, ms = 0 }, ctx) {
  const { id, attempt } = ctx.job
  const own = runOf(id)
  effect('begin', '-', id, own, attempt)
  if (kind === 'poison') process.kill(process.pid, 'SIGKILL')
  if (kind === 'block') for (const until = performance.now() + ms; performance.now() < until;);
  else if (kind === 'forever') for (;;);
  else if (kind === 'hang') await new Promise(() => {})
  else await sleep(ms)
  if (kind === 'fail' || (kind === 'fail-once' && attempt === 1)) {
    effect('throw', '-', id, own, attempt)
    throw kind === 'fail' ? new NonRetryableError('on purpose') : new Error('on purpose')
  }
  effect('end', '-', id, own, attempt)
}

const { concurrency, ...settings } = options
const client = await patient(async () =>
  connect(tapped(await placeOf(options)), { log: createLogger('info'), ...settings.client }),
)
await client.work(
  { concurrency, handlers: [handle(work, run), handle(hang, run)] },
  { signals: true, ...(settings.grace && { grace: settings.grace }) },
)
console.log('ready')
