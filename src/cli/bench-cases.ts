// What `millrace bench` measures, each case on a queue of its own, and the count that proves that it happened.
import { setTimeout as pause } from 'node:timers/promises'
import { unchecked } from '../core/schema.js'
import { defineTask } from '../core/task.js'
import { handle } from '../worker/define.js'
import { Failure } from './fail.js'
import type { Client } from './target.js'

export interface BenchFigure {
  readonly value: number
  readonly unit: 'jobs/s' | 'ms'
  /** Of the queue, read back from the database afterwards. */
  readonly counted: { readonly enqueued: number; readonly completed: number; readonly ready: number }
}

interface Input {
  readonly n: number
  readonly text: string
}

/** Jobs of one call of `enqueueMany`. */
const BATCH = 500
/** Jobs at once in the worker. */
const CONCURRENCY = 50
const PAGE = 1000
/** About 200 bytes as JSON. */
const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(4)

/** In the order in which they run. `jobs` is what `--jobs` says; a case in which jobs come one at a time takes fewer. */
export const BENCH_CASES: Readonly<Record<string, (client: Client, jobs: number) => Promise<BenchFigure>>> = {
  async 'bulk-enqueue'(client, jobs) {
    const queue = queueOf(client, 'bench-bulk')
    const ms = await timed(() => queue.enqueueMany(jobs))
    return perSecond(jobs, ms, await queue.proven({ completed: 0, ready: jobs }))
  },
  'single-enqueue-1': (client, jobs) => singleEnqueue(client, Math.ceil(jobs / 10), 1),
  'single-enqueue-64': (client, jobs) => singleEnqueue(client, jobs, 64),
  async drain(client, jobs) {
    const queue = queueOf(client, 'bench-drain')
    await queue.enqueueMany(jobs)
    const ms = await timed(async () => {
      let done = 0
      let tell!: () => void
      const all = new Promise<void>((resolve) => (tell = resolve))
      const worker = await queue.work(() => {
        if (++done === jobs) tell()
      })
      await all
      await worker.stop()
    })
    return perSecond(jobs, ms, await queue.proven({ completed: jobs, ready: 0 }))
  },
  async 'latency-local-p50'(client, base) {
    const jobs = Math.min(100, base)
    const queue = queueOf(client, 'bench-latency')
    let started = (): void => {}
    const worker = await queue.work(() => started())
    const waits: number[] = []
    for (let n = 0; n < jobs; n++) {
      await pause((20 * (n + 0.5)) / jobs) // the worker is idle when the next one comes
      const start = new Promise<void>((resolve) => (started = resolve))
      const since = performance.now()
      const at = start.then(() => performance.now())
      await queue.enqueue(n)
      waits.push((await at) - since)
    }
    await worker.stop()
    const counted = await queue.proven({ completed: jobs, ready: 0 })
    return { value: waits.sort((a, b) => a - b)[Math.floor(jobs / 2)]!, unit: 'ms', counted }
  },
}

async function singleEnqueue(client: Client, jobs: number, callers: number): Promise<BenchFigure> {
  const queue = queueOf(client, `bench-single-${callers}`)
  let next = 0
  const caller = async () => {
    while (next < jobs) await queue.enqueue(next++)
  }
  const ms = await timed(() => Promise.all(Array.from({ length: callers }, caller)))
  return perSecond(jobs, ms, await queue.proven({ completed: 0, ready: jobs }))
}

/** One queue and its only task. */
function queueOf(client: Client, name: string) {
  const task = defineTask(name, { queue: name, input: unchecked<Input>(), output: unchecked<number>() })
  const inputOf = (n: number): Input => ({ n, text: TEXT })
  let enqueued = 0
  return {
    async enqueue(n: number) {
      await client.enqueue(task, inputOf(n))
      enqueued += 1
    },
    async enqueueMany(jobs: number) {
      for (let from = 0; from < jobs; from += BATCH) {
        const inputs = Array.from({ length: Math.min(BATCH, jobs - from) }, (_, i) => inputOf(from + i))
        enqueued += (await client.enqueueMany(task, inputs)).length
      }
    },
    work(onStart: () => void) {
      const handler = handle(task, ({ n }) => {
        onStart()
        return n
      })
      return client.work({ handlers: [handler], concurrency: CONCURRENCY })
    },
    /** @throws Failure unless every job is there once, in the state that it should have */
    async proven(expected: { completed: number; ready: number }): Promise<BenchFigure['counted']> {
      const { ready } = await client.queues.stats(name)
      const ids = new Set<string>()
      let cursor: string | undefined
      do {
        const o = { queue: name, states: ['completed'] as const, limit: PAGE }
        const page = await client.jobs.list({ ...o, ...(cursor !== undefined && { cursor }) })
        for (const { id } of page.jobs) ids.add(id)
        cursor = page.cursor
      } while (cursor !== undefined)
      const counted = { enqueued, completed: ids.size, ready }
      if (ready === expected.ready && ids.size === expected.completed && enqueued === ready + ids.size) return counted
      throw new Failure(
        `The figure of ${name} is worth nothing: ${JSON.stringify(expected)} was expected, and the database has ${JSON.stringify(counted)}.`,
      )
    },
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now()
  await work()
  return performance.now() - since
}

function perSecond(jobs: number, ms: number, counted: BenchFigure['counted']): BenchFigure {
  return { value: Math.round((jobs / ms) * 1000), unit: 'jobs/s', counted }
}
