// What is wrong with queues and jobs, by what one look at a store has shown. Pure: facts in, findings out.
import { formatDuration } from '../core/duration.js'
import type { Finding, JobRecord } from '../driver/driver.js'
import type { QueueInfo, SubscriptionInfo, WorkerStatus } from './types.js'

export interface Snapshot {
  /** Epoch milliseconds. */
  readonly now: number
  /** For how long a silent worker keeps its jobs, in milliseconds. */
  readonly lease: number
  readonly queues: readonly QueueInfo[]
  readonly subscriptions: readonly SubscriptionInfo[]
  readonly workers: readonly WorkerStatus[]
  /** The newest jobs that wait because no worker had a handler for them. */
  readonly unhandled: readonly JobRecord[]
  /** The newest dead jobs. */
  readonly dead: readonly JobRecord[]
  readonly suspects: readonly JobRecord[]
  /** Tasks whose attempts have no timeout. */
  readonly untimed: ReadonlySet<string>
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
/** A ready job that waits for longer is late. */
const LATE = MINUTE
/** For so long, jobs without a handler may be those of a deploy that is under way. */
const DEPLOY = 5 * MINUTE
/** Ids that a message names. */
const NAMED = 3

export function checkQueues(s: Snapshot): readonly Finding[] {
  const found = s.queues.map((queue) => checkQueue(queue, readersOf(s, queue.name))).filter((one) => one !== undefined)
  const sum = (of: (queue: QueueInfo) => number) => s.queues.reduce((total, queue) => total + of(queue), 0)
  const facts = {
    queues: s.queues.length,
    ready: sum((queue) => queue.ready),
    active: sum((queue) => queue.active),
    scheduled: sum((queue) => queue.scheduled),
    retrying: sum((queue) => queue.retrying),
  }
  const message = `${count(facts.queues, 'queue')}: ${facts.ready} ready, ${facts.active} active, ${facts.scheduled} scheduled, ${facts.retrying} retrying.`
  return [...found, { code: 'queues', level: 'ok', message, facts }]
}

function checkQueue(queue: QueueInfo, readers: number): Finding | undefined {
  const { name, ready, active, oldestMs = 0 } = queue
  const waiting = ready + queue.scheduled + queue.retrying
  const facts = { queue: name, waiting, ready, active, oldestMs, workers: readers }
  const age = formatDuration(oldestMs)
  if (waiting === 0) return undefined
  if (queue.paused)
    return {
      code: 'queue-paused',
      level: 'warning',
      message: `Queue "${name}" is paused: ${jobs(waiting, 'waits', 'wait')} in it${readers === 0 ? ', and no live worker reads it' : ''}.`,
      advice: `When it may go on: millrace queues resume ${name}`,
      facts,
    }
  if (readers === 0)
    return {
      code: 'queue-unread',
      level: ready > 0 ? 'error' : 'warning',
      message: `No live worker reads queue "${name}": ${jobs(waiting, 'waits', 'wait')} in it${ready > 0 ? `, the oldest for ${age}` : ', none of them due yet'}.`,
      advice: 'Start a worker with handlers for its tasks. Is one there that should be? millrace workers list',
      facts,
    }
  if (oldestMs <= LATE || ready === 0) return undefined
  if (active === 0)
    return {
      code: 'queue-stalled',
      level: 'error',
      message: `Nothing runs in queue "${name}": ${jobs(ready, 'is', 'are')} ready, the oldest for ${age}, though ${readers === 1 ? '1 worker reads' : `${readers} workers read`} it.`,
      advice: 'Their slots are in use by other queues, or they are in trouble themselves: millrace workers list',
      facts,
    }
  return {
    code: 'queue-late',
    level: 'warning',
    message: `Queue "${name}" is behind: ${jobs(ready, 'is', 'are')} ready, the oldest for ${age}; ${active} run.`,
    advice: 'See what runs for how long: millrace workers list. Then more slots (--concurrency), or more workers.',
    facts,
  }
}

export function checkJobs(s: Snapshot): readonly Finding[] {
  const found = [...checkUnhandled(s), ...checkSuspects(s), ...checkDead(s)]
  return found.length > 0 ? found : [{ code: 'jobs', level: 'ok', message: 'No job is stuck, and none died in a day.' }]
}

function checkUnhandled(s: Snapshot): readonly Finding[] {
  const live = s.workers.filter(isLive)
  const orphans = s.unhandled.filter(
    ({ envelope: { name, queue } }) => !live.some((one) => one.tasks.includes(name) && one.queues.includes(queue)),
  )
  return [...byTask(orphans)].map(([task, records]): Finding => {
    const waitedMs = s.now - Math.min(...records.map((record) => record.blocked?.since ?? s.now))
    return {
      code: 'task-unhandled',
      level: waitedMs >= DEPLOY ? 'error' : 'warning',
      message: `No live worker has a handler for task "${task}": ${jobs(records.length, 'waits', 'wait')} for ${formatDuration(waitedMs)}.`,
      advice: `Start a worker that has one; after a day the jobs are dead. If the name is wrong: millrace jobs cancel --task ${task}`,
      facts: { task, jobs: records.length, waitedMs },
    }
  })
}

function checkSuspects({ suspects }: Snapshot): readonly Finding[] {
  if (suspects.length === 0) return []
  const named = suspects.slice(0, NAMED).map(({ envelope: { id, name } }) => `${name} ${id}`)
  const crashes = Math.max(...suspects.map((record) => record.crashes))
  return [
    {
      code: 'jobs-suspect',
      level: 'warning',
      message: `A worker died with ${jobs(suspects.length, 'that waits', 'that wait')} to run again, one at a time: ${named.join(', ')}${suspects.length > NAMED ? ', …' : ''}.`,
      advice: 'Look why the worker died. A job that takes every worker along: millrace jobs cancel ID',
      facts: { jobs: suspects.length, crashes },
    },
  ]
}

export function checkDead(s: Pick<Snapshot, 'now' | 'dead'>): readonly Finding[] {
  const recent = s.dead.filter(({ finishedAt = 0 }) => finishedAt > s.now - DAY)
  return [...byTask(recent)].map(([task, records]): Finding => {
    const last = records.reduce((a, b) => ((b.finishedAt ?? 0) > (a.finishedAt ?? 0) ? b : a))
    const error = last.errors.at(-1)
    const why = error ? `${error.name}: ${error.message}` : (last.reason ?? 'failed')
    return {
      code: 'jobs-dead',
      level: 'warning',
      message: `${count(records.length, 'job')} of task "${task}" died in a day, the last one of ${why}`,
      advice: `See them: millrace jobs list --state dead --task ${task}. Once it is mended: millrace jobs retry --task ${task}`,
      facts: { task, jobs: records.length, error: why, last: last.envelope.id },
    }
  })
}

/** A worker that beats. */
export function isLive(worker: WorkerStatus): boolean {
  return worker.state !== 'silent'
}

function readersOf(s: Snapshot, queue: string): number {
  return s.workers.filter((one) => isLive(one) && one.state !== 'stopping' && one.queues.includes(queue)).length
}

function byTask(records: readonly JobRecord[]): ReadonlyMap<string, readonly JobRecord[]> {
  const groups = new Map<string, JobRecord[]>()
  for (const record of records) {
    const { name } = record.envelope
    groups.set(name, [...(groups.get(name) ?? []), record])
  }
  return groups
}

export const count = (n: number, thing: string) => `${n} ${thing}${n === 1 ? '' : 's'}`

/** `1 job waits`, `2 jobs wait`. */
export function jobs(n: number, one: string, many = one): string {
  return `${count(n, 'job')} ${n === 1 ? one : many}`
}
