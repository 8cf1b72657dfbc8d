// Millrace on a driver, through the public API, with its defaults.
import { connect, defineTask, handle, unchecked } from 'millrace'
import type { Counts, Input, Kind, Queue, Subject } from './subject.js'
import { versionOf } from './versions.js'

const task = (name: string) => defineTask(name, { input: unchecked<Input>(), output: unchecked<number>() })
const TASKS = { measured: task('bench.measured'), filler: task('bench.filler') } as const
const PAGE = 1000

/** @param urlIn the URL of a database of its own in a folder */
export function millrace(o: { durability: string; urlIn(folder: string): string }): Subject {
  return {
    name: 'millrace',
    product: `Millrace ${versionOf('millrace')}`,
    durability: o.durability,
    latency: { jobs: 200, longestPause: 50 },
    url: o.urlIn,
    open: (folder) => open(o.urlIn(folder)),
  }
}

async function open(url: string): Promise<Queue> {
  const client = await connect(url)
  const enqueued = { measured: 0, filler: 0 }

  async function count(kind: Kind): Promise<Counts> {
    const counts = { enqueued: enqueued[kind], completed: 0, dead: 0, waiting: 0 }
    const ids = new Set<string>()
    let cursor: string | undefined
    do {
      const page = await client.jobs.list({ task: TASKS[kind], limit: PAGE, ...(cursor !== undefined && { cursor }) })
      for (const { id, state } of page.jobs) {
        if (ids.has(id)) throw new Error(`Job ${id} was listed twice.`)
        ids.add(id)
        counts[state === 'completed' || state === 'dead' ? state : 'waiting'] += 1
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return counts
  }

  return {
    async enqueue(input) {
      await client.enqueue(TASKS.measured, input)
      enqueued.measured += 1
    },
    async enqueueMany(inputs, { kind = 'measured', first = false } = {}) {
      const jobs = await client.enqueueMany(TASKS[kind], inputs, first ? { priority: 9 } : {})
      enqueued[kind] += jobs.length
    },
    async work({ concurrency, onStart }) {
      const handlers = (['measured', 'filler'] as const).map((kind) =>
        handle(TASKS[kind], (input) => {
          onStart(input, kind)
          return input.n
        }),
      )
      const worker = await client.work({ concurrency, handlers })
      return { stop: () => worker.stop() }
    },
    count,
    close: () => client.close(),
  }
}
