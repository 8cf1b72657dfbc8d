// What is wrong with workers, by what one look at a store has shown. Pure, as findings.ts is.
import { formatDuration } from '../core/duration.js'
import type { Finding } from '../driver/driver.js'
import { count, isLive, jobs, type Snapshot } from './findings.js'
import type { WorkerStatus } from './types.js'

/** A job that nothing will ever end, if it has not ended by itself for so long. */
const LONG_RUN = 3_600_000
const HIGH_LOAD = 0.9
const HIGH_DELAY = 200
/** A wait for a lock that is longer is somebody else's transaction, not the usual turn-taking. */
const LONG_WAIT = 1_000

export function checkWorkers(s: Snapshot): readonly Finding[] {
  const live = s.workers.filter(isLive)
  const found = s.workers.flatMap((worker) => checkWorker(worker, s, live.length > 0))
  if (live.length === 0)
    found.push({
      code: 'workers-none',
      level: 'warning',
      message: 'No worker is live, so nothing runs.',
      advice: 'Start one: millrace work worker.ts',
    })
  else {
    const [running, slots] = [total(live, 'running'), total(live, 'concurrency')]
    const message = `${count(live.length, 'live worker')}, ${running} of ${slots} slots in use.`
    found.push({ code: 'workers', level: 'ok', message, facts: { workers: live.length, running, slots } })
  }
  return found
}

function checkWorker(worker: WorkerStatus, s: Snapshot, someLive: boolean): Finding[] {
  const who = `Worker ${worker.pid} on ${worker.host}`
  const facts = { worker: worker.id, pid: worker.pid, host: worker.host }
  const found: Finding[] = []
  if (worker.state === 'silent') {
    const silentMs = Math.max(0, s.now - worker.beatAt.getTime())
    const held = `${jobs(worker.running, 'was', 'were')} in its hands`
    return [
      {
        code: 'worker-silent',
        level: someLive ? 'warning' : 'error',
        message: `${who} has not beaten for ${formatDuration(silentMs)}; ${held}.`,
        advice: someLive
          ? `The others take its jobs when its lease (${formatDuration(s.lease)}) is over. If it is frozen rather than gone, end it.`
          : `Start a worker: it takes the jobs over when the lease (${formatDuration(s.lease)}) is over. If this one is frozen, end it.`,
        facts: { ...facts, silentMs, running: worker.running },
      },
    ]
  }
  if (worker.state === 'blocked') {
    const blockedMs = worker.blockedMs ?? 0
    found.push({
      code: 'worker-blocked',
      level: 'error',
      message: `The event loop of worker ${worker.pid} on ${worker.host} has not answered for ${formatDuration(blockedMs)}. It runs ${runs(worker, s.now)}.`,
      advice:
        'A handler computes without a pause. Let it pause, or run in a thread of its own; to end it now, kill it.',
      facts: { ...facts, blockedMs },
    })
  }
  if (worker.abandoned > 0)
    found.push({
      code: 'worker-abandoned',
      level: worker.abandoned >= worker.concurrency ? 'error' : 'warning',
      message: `${who} has ${count(worker.abandoned, 'handler')} that went on after their timeout${worker.abandoned >= worker.concurrency ? ', so it takes nothing' : ''}.`,
      advice: 'Its handlers must heed ctx.signal. Restart it to be rid of them.',
      facts: { ...facts, abandoned: worker.abandoned, concurrency: worker.concurrency },
    })
  if (worker.state !== 'blocked' && (worker.load > HIGH_LOAD || worker.loopDelayMs > HIGH_DELAY))
    found.push({
      code: 'worker-overloaded',
      level: 'warning',
      message: `${who} is overloaded: its event loop is busy for ${percent(worker.load)} of the time and answers after ${worker.loopDelayMs} ms. It runs ${runs(worker, s.now)}.`,
      advice: 'More processes rather than more slots; or move what computes into threads.',
      facts: { ...facts, load: worker.load, loopDelayMs: worker.loopDelayMs },
    })
  const { count: waits = 0, longestMs: longest = 0 } = worker.lockWaits ?? {}
  if (longest > LONG_WAIT)
    found.push({
      code: 'store-locked',
      level: 'warning',
      message: `${who} waited for the lock of the store ${waits} times in the last minute, ${formatDuration(longest)} at the longest.`,
      advice: 'Another program holds a transaction open: a shell, a script, a backup. Nothing is written meanwhile.',
      facts: { ...facts, waits, longestMs: longest },
    })
  return [...found, ...checkLongRuns(worker, s, who, facts)]
}

/** Jobs that nothing will ever end: their task has no timeout. */
function checkLongRuns(worker: WorkerStatus, s: Snapshot, who: string, facts: Finding['facts']): Finding[] {
  return worker.jobs
    .filter((job) => s.untimed.has(job.name) && s.now - job.since.getTime() > LONG_RUN)
    .map((job) => ({
      code: 'job-endless',
      level: 'warning',
      message: `${who} runs ${job.name} ${job.id} for ${formatDuration(s.now - job.since.getTime())}, and its task has no timeout.`,
      advice: `If it hangs: millrace jobs cancel ${job.id}. Then give the task a timeout.`,
      facts: { ...facts, task: job.name, job: job.id, forMs: s.now - job.since.getTime() },
    }))
}

function runs(worker: WorkerStatus, now: number): string {
  const [first] = worker.jobs
  if (!first) return 'no job'
  const others = worker.running > 1 ? ` and ${worker.running - 1} more` : ''
  return `${first.name} ${first.id} for ${formatDuration(Math.max(0, now - first.since.getTime()))}${others}`
}

const total = (workers: readonly WorkerStatus[], key: 'running' | 'concurrency') =>
  workers.reduce((sum, worker) => sum + worker[key], 0)

const percent = (share: number) => `${Math.round(share * 100)} %`
