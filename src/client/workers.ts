// Workers as an operator sees them: who is there, how it is, and what it runs.
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeenWorker, Workers } from '../driver/driver.js'
import type { Session } from './session.js'
import type { ClientCore, WorkerStatus } from './types.js'

/** A beat older than this is doubted. Workers beat twice a second. */
const DOUBTED = 3_000
/** Whoever does not beat between two looks so far apart is silent: clocks of two machines may differ, counters do not. */
const SECOND_LOOK = 2_000

export function createWorkerVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['workers'] {
  return {
    list: async () => seeWorkers((await session.open()).workers),
  }
}

/** Those that are still there at the second look, where one is needed. */
export async function seeWorkers(port: Workers): Promise<readonly WorkerStatus[]> {
  const first = await port.list()
  const doubted = new Map(first.filter(isDoubted).map((worker) => [worker.worker, worker.beatAt]))
  if (doubted.size === 0) return first.map((worker) => statusOf(worker, false))
  await sleep(SECOND_LOOK)
  const second = await port.list()
  return second.map((worker) => statusOf(worker, doubted.get(worker.worker) === worker.beatAt))
}

function isDoubted({ beatAt }: SeenWorker): boolean {
  return Math.abs(Date.now() - beatAt) > DOUBTED
}

function statusOf(seen: SeenWorker, silent: boolean): WorkerStatus {
  const { blockedMs } = seen
  return {
    id: seen.worker,
    pid: seen.pid,
    host: seen.host,
    queues: seen.queues,
    tasks: seen.tasks,
    concurrency: seen.concurrency,
    running: seen.running,
    state: stateOf(seen, silent),
    ...(blockedMs !== undefined && { blockedMs }),
    load: seen.load,
    loopDelayMs: seen.loopDelay,
    abandoned: seen.abandoned,
    jobs: seen.jobs.map((job) => ({ ...job, since: new Date(job.since) })),
    startedAt: new Date(seen.startedAt),
    beatAt: new Date(seen.beatAt),
  }
}

function stateOf(seen: SeenWorker, silent: boolean): WorkerStatus['state'] {
  if (silent) return 'silent'
  if (seen.blockedMs !== undefined) return 'blocked'
  if (seen.stopping) return 'stopping'
  return seen.running >= seen.concurrency ? 'busy' : 'ok'
}
