// From what was seen to what is said: every finding, and the thresholds it begins at.
import { describe, expect, it } from 'vitest'
import type { JobRecord } from '../driver/driver.js'
import { checkJobs, checkQueues, type Snapshot } from './findings.js'
import type { QueueInfo, WorkerStatus } from './types.js'
import { checkWorkers } from './worker-findings.js'

const NOW = 1_800_000_000_000
const MINUTE = 60_000
const ago = (ms: number) => new Date(NOW - ms)

const queue = (o: Partial<QueueInfo> = {}): QueueInfo => ({
  name: 'mail',
  paused: false,
  ready: 0,
  scheduled: 0,
  retrying: 0,
  active: 0,
  dead: 0,
  ...o,
})

const worker = (o: Partial<WorkerStatus> = {}): WorkerStatus => ({
  id: 'w1',
  pid: 7,
  host: 'box',
  queues: ['mail'],
  schedules: [],
  tasks: ['mail.send'],
  concurrency: 10,
  running: 0,
  state: 'ok',
  load: 0,
  loopDelayMs: 0,
  abandoned: 0,
  jobs: [],
  startedAt: ago(MINUTE),
  beatAt: ago(100),
  ...o,
})

const job = (o: Partial<JobRecord> = {}, name = 'mail.send'): JobRecord => ({
  envelope: {
    id: 'j1',
    queue: 'mail',
    name,
    body: '{}',
    headers: {},
    priority: 4,
    enqueuedAt: NOW,
    keep: { completed: 0, dead: 0 },
  },
  state: 'ready',
  run: 1,
  attempt: 1,
  crashes: 0,
  suspect: false,
  errors: [],
  dueAt: NOW,
  cancelling: false,
  ...o,
})

const seen = (o: Partial<Snapshot> = {}): Snapshot => ({
  subscriptions: [],
  now: NOW,
  lease: 15_000,
  queues: [],
  workers: [worker()],
  unhandled: [],
  dead: [],
  suspects: [],
  untimed: new Set(),
  ...o,
})

/** The findings that are not well, as `level code`. */
function problems(check: (s: Snapshot) => readonly { level: string; code: string; advice?: string }[], s: Snapshot) {
  const found = check(s).filter(({ level }) => level !== 'ok')
  for (const { advice } of found) expect(advice).toMatch(/./)
  return found.map(({ level, code }) => `${level} ${code}`)
}

describe('a queue', () => {
  const of = (one: QueueInfo, workers = [worker()]) => problems(checkQueues, seen({ queues: [one], workers }))

  it('that is empty, or worked on in time, is well', () => {
    expect(of(queue())).toEqual([])
    expect(of(queue(), [])).toEqual([])
    expect(of(queue({ paused: true }))).toEqual([])
    expect(of(queue({ ready: 5, active: 0, oldestMs: MINUTE }))).toEqual([])
    expect(of(queue({ scheduled: 5 }))).toEqual([])
  })

  it('that is paused while jobs wait', () => {
    expect(of(queue({ paused: true, scheduled: 1 }))).toEqual(['warning queue-paused'])
    expect(of(queue({ paused: true, ready: 1 }), [])).toEqual(['warning queue-paused'])
  })

  it('that no live worker reads: silent, stopping, and those of other queues do not count', () => {
    expect(of(queue({ ready: 1 }), [])).toEqual(['error queue-unread'])
    expect(of(queue({ scheduled: 1 }), [])).toEqual(['warning queue-unread'])
    for (const one of [worker({ state: 'silent' }), worker({ state: 'stopping' }), worker({ queues: ['other'] })])
      expect(of(queue({ ready: 1 }), [one])).toEqual(['error queue-unread'])
    expect(of(queue({ ready: 1 }), [worker({ state: 'blocked' }), worker({ state: 'busy' })])).toEqual([])
  })

  it('whose oldest ready job waits for more than a minute', () => {
    expect(of(queue({ ready: 5, active: 2, oldestMs: MINUTE + 1 }))).toEqual(['warning queue-late'])
    expect(of(queue({ ready: 5, active: 0, oldestMs: MINUTE + 1 }))).toEqual(['error queue-stalled'])
  })

  it('is counted with the others', () => {
    const found = checkQueues(seen({ queues: [queue({ ready: 1, active: 2 }), queue({ name: 'b', ready: 3 })] }))
    expect(found.at(-1)).toMatchObject({ code: 'queues', level: 'ok', facts: { queues: 2, ready: 4, active: 2 } })
  })
})

describe('jobs', () => {
  const blocked = (ms: number) => ({ blocked: { why: 'no-handler' as const, since: NOW - ms } })

  it('that no live worker has a handler for: an error once it is no deploy any more', () => {
    const of = (records: readonly JobRecord[], workers = [worker()]) =>
      problems(checkJobs, seen({ unhandled: records, workers }))
    expect(of([job(blocked(MINUTE), 'mail.sned')])).toEqual(['warning task-unhandled'])
    expect(of([job(blocked(5 * MINUTE), 'mail.sned')])).toEqual(['error task-unhandled'])
    expect(of([job(blocked(5 * MINUTE))])).toEqual([])
    expect(of([job(blocked(5 * MINUTE))], [worker({ state: 'silent' })])).toEqual(['error task-unhandled'])
    expect(of([job(blocked(5 * MINUTE))], [worker({ queues: ['other'] })])).toEqual(['error task-unhandled'])
  })

  it('that wait as suspects, the first three by name', () => {
    const [found] = checkJobs(seen({ suspects: [job(), job(), job(), job({ crashes: 2 })] }))
    expect(found).toMatchObject({ code: 'jobs-suspect', level: 'warning', facts: { jobs: 4, crashes: 2 } })
    expect(found!.message.match(/mail\.send j1/g)).toHaveLength(3)
  })

  it('that died in the last day, by task, with the last error', () => {
    const dead = (minutes: number, message: string) =>
      job({
        state: 'dead',
        finishedAt: NOW - minutes * MINUTE,
        errors: [
          { name: 'Error', message: 'before', at: 0 },
          { name: 'TypeError', message, at: 1 },
        ],
      })
    const s = seen({
      dead: [
        dead(25 * 60, 'too old'),
        dead(10, 'older'),
        dead(5, 'newest'),
        job({ state: 'dead', reason: 'crashed', finishedAt: NOW }, 'b'),
      ],
    })
    expect(checkJobs(s).map(({ message }) => message)).toEqual([
      '2 jobs of task "mail.send" died in a day, the last one of TypeError: newest',
      '1 job of task "b" died in a day, the last one of crashed',
    ])
    expect(problems(checkJobs, s)).toEqual(['warning jobs-dead', 'warning jobs-dead'])
  })
})

describe('a worker', () => {
  const of = (one: WorkerStatus, o: Partial<Snapshot> = {}) =>
    problems(checkWorkers, seen({ workers: [one, worker({ id: 'w2' })], ...o }))

  it('that is well, busy, or stopping', () => {
    for (const state of ['ok', 'busy', 'stopping'] as const) expect(of(worker({ state }))).toEqual([])
    expect(of(worker({ load: 0.9, loopDelayMs: 200 }))).toEqual([])
  })

  it('that is not there at all', () => {
    expect(problems(checkWorkers, seen({ workers: [] }))).toEqual(['warning workers-none'])
  })

  it('that is silent: worse when there is nobody to take over', () => {
    const silent = worker({ state: 'silent', beatAt: ago(30_000), running: 2, abandoned: 5, load: 1 })
    expect(of(silent)).toEqual(['warning worker-silent'])
    expect(problems(checkWorkers, seen({ workers: [silent] }))).toEqual(['error worker-silent', 'warning workers-none'])
    const [found] = checkWorkers(seen({ workers: [silent] }))
    expect(found!.message).toBe('Worker 7 on box has not beaten for 30s; 2 jobs were in its hands.')
  })

  it('whose event loop does not answer, naming what it runs', () => {
    const jobs = [{ id: 'j1', name: 'think', attempt: 1, suspect: false, since: ago(14_000) }]
    const blocked = worker({ state: 'blocked', blockedMs: 12_000, jobs, running: 3, load: 1 })
    expect(of(blocked)).toEqual(['error worker-blocked'])
    expect(checkWorkers(seen({ workers: [blocked] }))[0]!.message).toMatch(
      /for 12s\. It runs think j1 for 14s and 2 more\.$/,
    )
  })

  it('that is overloaded', () => {
    expect(of(worker({ load: 0.91 }))).toEqual(['warning worker-overloaded'])
    expect(of(worker({ loopDelayMs: 201 }))).toEqual(['warning worker-overloaded'])
  })

  it('that waited long for a lock, which others held', () => {
    expect(of(worker({ lockWaits: { count: 90, longestMs: 1_000 } }))).toEqual([])
    expect(of(worker({ lockWaits: { count: 1, longestMs: 1_001 } }))).toEqual(['warning store-locked'])
  })

  it('whose handlers went on after their timeout: an error once they hold every slot', () => {
    expect(of(worker({ abandoned: 1 }))).toEqual(['warning worker-abandoned'])
    expect(of(worker({ abandoned: 10 }))).toEqual(['error worker-abandoned'])
  })

  it('that runs for hours what nothing will ever end', () => {
    const running = (minutes: number) =>
      worker({ jobs: [{ id: 'j1', name: 'hang', attempt: 1, suspect: false, since: ago(minutes * MINUTE) }] })
    expect(of(running(61), { untimed: new Set(['hang']) })).toEqual(['warning job-endless'])
    expect(of(running(59), { untimed: new Set(['hang']) })).toEqual([])
    expect(of(running(61))).toEqual([])
  })
})
