// plainjob, as its README tells its users: its defaults, one worker, which has no concurrency and keeps no results.
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { better, defineQueue, defineWorker, JobStatus, type Logger } from 'plainjob'
import type { Input, Peer, Queue } from '../subject.js'
import { versionOf } from '../versions.js'

const TYPE = 'bench'
// Its one setting that is not the default: it writes seven lines per job to the console otherwise, and would be measured at that.
const silent = (): void => {}
const logger: Logger = { error: silent, warn: silent, info: silent, debug: silent }

export const plainjob: Peer = {
  name: 'plainjob',
  product: `plainjob ${versionOf('plainjob')}`,
  durability: 'normal', // it sets synchronous = 1: the last commits may be lost in a power cut
  cases: ['bulk-enqueue', 'single-enqueue-1', 'single-enqueue-64', 'drain', 'latency-local-p50'],
  // It looks once a second: pauses are spread over that second, so that jobs come at all times between two looks.
  latency: { jobs: 20, longestPause: 1000 },
  open: (folder) => Promise.resolve(open(join(folder, 'plainjob.db'))),
}

function open(file: string): Queue {
  const queue = defineQueue({ connection: better(new Database(file)), logger })
  let enqueued = 0
  return {
    enqueue(input) {
      queue.add(TYPE, input)
      enqueued += 1
      return Promise.resolve()
    },
    enqueueMany(inputs) {
      enqueued += queue.addMany(TYPE, [...inputs]).ids.length
      return Promise.resolve()
    },
    work({ onStart }) {
      const worker = defineWorker(TYPE, (job) => onStart(JSON.parse(job.data) as Input, 'measured'), { queue, logger })
      const ended = worker.start()
      return Promise.resolve({
        async stop() {
          await worker.stop()
          await ended
        },
      })
    },
    count() {
      const of = (...statuses: JobStatus[]) =>
        statuses.reduce((sum, status) => sum + queue.countJobs({ type: TYPE, status }), 0)
      return Promise.resolve({
        enqueued,
        completed: of(JobStatus.Done),
        dead: of(JobStatus.Failed),
        waiting: of(JobStatus.Pending, JobStatus.Processing),
      })
    },
    close() {
      queue.close()
      return Promise.resolve()
    },
  }
}
