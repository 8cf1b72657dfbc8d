// Workers as an operator sees them: who is there, how it is, and what it runs.
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeenWorker, StatefulDriver } from '../driver/driver.js'
import type { Session } from './session.js'
import type { ClientCore, WorkerStatus } from './types.js'

/** A beat older than this is doubted. Workers beat twice a second. */
const DOUBTED = 3_000
/** Whoever does not beat between two looks so far apart is silent: clocks of two machines may differ, counters do not. */
const SECOND_LOOK = 2_000
/** Jobs in one worker's hands that are looked at, and those that are told of. */
const HELD = 1_000
const SHOWN_JOBS = 20

export function createWorkerVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['workers'] {
  return {
    list: async () => seeWorkers(await session.open()),
  }
}

/** Those that are still there at the second look, where one is needed. */
export async function seeWorkers(driver: Pick<StatefulDriver, 'workers' | 'jobs'>): Promise<readonly WorkerStatus[]> {
  const first = await driver.workers.list()
  const doubted = new Map(first.filter(isDoubted).map((worker) => [worker.worker, worker.beatAt]))
  if (doubted.size > 0) await sleep(SECOND_LOOK)
  const seen = doubted.size > 0 ? await driver.workers.list() : first
  return Promise.all(
    seen.map(async (worker) => {
      const status = statusOf(worker, doubted.get(worker.worker) === worker.beatAt)
      if (status.state !== 'silent' && status.state !== 'blocked') return status
      // It cannot say what it runs: what it said last is from before, and the store knows what it holds.
      const jobs = await heldBy(driver, worker.worker)
      return { ...status, jobs, running: Math.min(jobs.length, status.concurrency) }
    }),
  )
}

/** The jobs in a worker's hands, those that were handed over first. */
async function heldBy({ jobs }: Pick<StatefulDriver, 'jobs'>, worker: string): Promise<WorkerStatus['jobs']> {
  const held = await jobs.list({ states: ['active'], worker, limit: HELD })
  return held.jobs
    .map(({ envelope: { id, name }, attempt, suspect, startedAt = 0 }) => ({
      id,
      name,
      attempt,
      suspect,
      since: new Date(startedAt),
    }))
    .sort((a, b) => a.since.getTime() - b.since.getTime())
    .slice(0, SHOWN_JOBS)
}

function isDoubted({ beatAt }: SeenWorker): boolean {
  return Math.abs(Date.now() - beatAt) > DOUBTED
}

function statusOf(seen: SeenWorker, silent: boolean): WorkerStatus {
  const { blockedMs, lockWaits: waits } = seen
  return {
    id: seen.worker,
    pid: seen.pid,
    host: seen.host,
    queues: seen.queues,
    tasks: seen.tasks,
    schedules: seen.schedules ?? [],
    concurrency: seen.concurrency,
    running: seen.running,
    state: stateOf(seen, silent),
    ...(blockedMs !== undefined && { blockedMs }),
    load: seen.load,
    loopDelayMs: seen.loopDelay,
    abandoned: seen.abandoned,
    ...(waits && { lockWaits: { count: waits.count, longestMs: waits.longest } }),
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
