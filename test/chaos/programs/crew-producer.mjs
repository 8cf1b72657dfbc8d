// A producer of the long chaos runs: enqueues until SIGTERM, and names each job in the effects file once its promise has
// resolved. An enqueue that was refused is written down too, with what its error says.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'millrace'
import { effect, endWithRunner, options } from './effects.mjs'
import { patient, placeOf } from './place.mjs'
import { work } from './tasks.mjs'

endWithRunner()

const { lanes = 4, pause = 0, most = 200, ms = 5, kinds = {}, padding = 0, client: settings } = options
const client = await patient(async () => connect(await placeOf(options), settings))
const text = 'x'.repeat(padding)
let stopping = false
process.on('SIGTERM', () => (stopping = true))
console.log('ready')

/** Which of every hundred jobs is what: { fail: 23 } makes each 23rd of a hundred fail. */
const kindOf = (n) => Object.keys(kinds).find((kind) => n % 100 === kinds[kind]) ?? 'ok'

let n = 0
/** Of the queue, looked at now and then. */
let waiting = 0
async function lane() {
  while (!stopping) {
    if (waiting >= most) {
      await sleep(10)
      continue
    }
    waiting += 1
    const kind = kindOf(n++)
    const since = performance.now()
    try {
      const job = await client.enqueue(work, { kind, ms, ...(padding > 0 && { text }) })
      effect('named', kind, job.id, 0, Math.round(performance.now() - since))
      if (kind === 'cancel') await job.cancel()
    } catch (error) {
      const took = Math.round(performance.now() - since)
      for (const id of error.ids ?? ['-']) effect('refused', `${error.code}/${error.outcome}`, id, 0, took)
      console.error(`refused ${error.message}`)
      await sleep(20)
    }
    if (pause > 0) await sleep(pause)
  }
}

async function look() {
  while (!stopping) {
    try {
      waiting = (await client.queues.stats('default')).ready
    } catch (error) {
      // A broker that is away just now; of a file we always hear.
      if (options.broker === undefined) throw error
    }
    await sleep(50)
  }
}

await Promise.all([look(), ...Array.from({ length: lanes }, lane)])
await client.close()
process.exit(0)
