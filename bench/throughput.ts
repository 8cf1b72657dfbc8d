// How fast is a driver on this machine? One line per case; what was counted stands beside every figure.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect, defineTask, handle, unchecked, type Client } from 'millrace'

const { values: options } = parseArgs({
  options: { jobs: { type: 'string', default: '20000' }, json: { type: 'boolean', default: false } },
})
const total = Number(options.jobs)
const task = defineTask('bench', { input: unchecked<{ n: number; text: string }>(), output: unchecked<number>() })
const inputs = Array.from({ length: total }, (_, n) => ({ n, text: 'x'.repeat(150) }))

/** One measured case: how many things in how many milliseconds, and a count that proves they happened. */
interface Figure {
  readonly unit: 'jobs/s' | 'ms'
  readonly value: number
  readonly counted: Readonly<Record<string, number>>
}

const perSecond = (jobs: number, ms: number) => Math.round((jobs / ms) * 1000)

async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now()
  await work()
  return performance.now() - since
}

async function singleEnqueues(client: Client, jobs: number, atOnce: number): Promise<Figure> {
  let next = 0
  const lane = async () => {
    while (next < jobs) await client.enqueue(task, inputs[next++ % total]!)
  }
  const ms = await timed(() => Promise.all(Array.from({ length: atOnce }, lane)))
  return { unit: 'jobs/s', value: perSecond(jobs, ms), counted: await counts(client) }
}

async function counts(client: Client): Promise<Record<string, number>> {
  const { ready, dead } = await client.queues.stats('default')
  return { ready, dead }
}

const cases: Readonly<Record<string, (client: Client) => Promise<Figure>>> = {
  async 'bulk-enqueue'(client) {
    const ms = await timed(() => client.enqueueMany(task, inputs))
    return { unit: 'jobs/s', value: perSecond(total, ms), counted: await counts(client) }
  },
  'single-enqueue-1': (client) => singleEnqueues(client, Math.ceil(total / 10), 1),
  'single-enqueue-64': (client) => singleEnqueues(client, total, 64),
  async drain(client) {
    await client.enqueueMany(task, inputs)
    let done = 0
    let tellDone!: () => void
    const all = new Promise<void>((resolve) => (tellDone = resolve))
    const ms = await timed(async () => {
      const handler = handle(task, ({ n }) => {
        if (++done === total) tellDone()
        return n
      })
      const worker = await client.work({ concurrency: 50, handlers: [handler] })
      await all
      await worker.stop()
    })
    return { unit: 'jobs/s', value: perSecond(total, ms), counted: { handled: done, ...(await counts(client)) } }
  },
  async 'latency-local-p50'(client) {
    const waits: number[] = []
    let since = 0
    await client.work({
      handlers: [
        handle(task, ({ n }) => {
          waits.push(performance.now() - since)
          return n
        }),
      ],
    })
    for (const input of inputs.slice(0, 200)) {
      since = performance.now()
      await (await client.enqueue(task, input)).result()
    }
    const p50 = waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)]!
    return { unit: 'ms', value: Number(p50.toFixed(2)), counted: { handled: waits.length } }
  },
}

for (const [name, run] of Object.entries(cases)) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  const client = await connect(`sqlite:${folder}/jobs.db`)
  try {
    const { value, unit, counted } = await run(client)
    const machine = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }
    const line = { case: name, driver: 'sqlite', value, unit, jobs: total, durability: 'full', counted, ...machine }
    const text = `${name.padEnd(20)} ${String(value).padStart(9)} ${unit.padEnd(7)} ${JSON.stringify(counted)}`
    console.log(options.json ? JSON.stringify(line) : text)
  } finally {
    await client.close()
    rmSync(folder, { recursive: true })
  }
}
