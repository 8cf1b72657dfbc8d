// Millrace on a driver, through the public API, with its defaults.
import { connect, defineTask, handle, unchecked, type Client } from 'millrace'
import type { Counts, Input, Kind, Queue, Subject } from './subject.js'
import { versionOf } from './versions.js'

const task = (name: string) => defineTask(name, { input: unchecked<Input>(), output: unchecked<number>() })
const TASKS = { measured: task('bench.measured'), filler: task('bench.filler') } as const
const PAGE = 1000

interface MillraceOptions {
  readonly durability: string
  /** A database or broker, or one of each, for a measurement with files in this folder. */
  targetIn(
    folder: string,
  ): string | { readonly broker: string; readonly store: string; readonly history?: 'full' | 'final' }
  /** Where one place serves several folders: keeps them apart. */
  namespaceIn?(folder: string): string
  /** Default `true`. `false`: a broker alone, which can be asked for what waits and for what is dead, and for nothing else. */
  readonly remembers?: boolean
  /** Of the database in a folder, for cases that start programs of their own. */
  url?(folder: string): string
}

export function millrace(o: MillraceOptions): Subject {
  return {
    name: 'millrace',
    product: `Millrace ${versionOf('millrace')}`,
    durability: o.durability,
    latency: { jobs: 200, longestPause: 50 },
    ...(o.url && { url: o.url }),
    async open(folder) {
      const options = o.namespaceIn ? { namespace: o.namespaceIn(folder) } : {}
      const target = o.targetIn(folder)
      const client = typeof target === 'string' ? await connect(target, options) : await connect(target, options)
      return open(client, o.remembers === false ? countLeft : countKept)
    },
  }
}

type Count = (client: Client, kind: Kind, enqueued: number) => Promise<Counts>

/** Reads every job back. */
const countKept: Count = async (client, kind, enqueued) => {
  const counts = { enqueued, completed: 0, dead: 0, waiting: 0 }
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

/** What is neither in a queue nor dead was acknowledged; `rabbitmq/service.ts` looks into every queue besides. */
const countLeft: Count = async (client, _kind, enqueued) => {
  let waiting = 0
  for (const { ready, scheduled, retrying, active } of await client.queues.list())
    waiting += ready + scheduled + retrying + active
  const { jobs: dead } = await client.jobs.list({ states: ['dead'], limit: PAGE })
  return { enqueued, completed: enqueued - waiting - dead.length, dead: dead.length, waiting }
}

function open(client: Client, count: Count): Queue {
  const enqueued = { measured: 0, filler: 0 }
  return {
    async enqueue(input, o) {
      await client.enqueue(TASKS.measured, input, o)
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
    count: (kind) => count(client, kind, enqueued[kind]),
    close: () => client.close(),
  }
}
