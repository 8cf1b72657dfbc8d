// Runs the jobs of a test client: one handler at a time, oldest first, through the executor that workers use. Between two
// calls nothing happens, except that a handler which waits for another job's result goes on waiting.
import { hostname } from 'node:os'
import type { ClientParts } from '../client/client.js'
import { WorkerStoppingError } from '../core/errors.js'
import { newId } from '../core/id.js'
import { isFinished } from '../core/job.js'
import { PAUSED_PREFIX, type Delivery, type JobRecord, type StatefulDriver, type WorkerInfo } from '../driver/driver.js'
import { createPulse } from '../driver/pulse.js'
import { createDeadlines } from '../worker/deadlines.js'
import { createTicker } from '../schedules/ticker.js'
import type { WorkerPlan } from '../worker/define.js'
import { createExecutor, type Executor } from '../worker/executor.js'
import { startPresence, type Presence } from '../worker/presence.js'

/** What became of attempts. */
export interface RunCounts {
  /** Jobs that completed. */
  readonly completed: number
  /** Jobs that died, for whatever reason. */
  readonly dead: number
  /** Attempts that failed and are to be tried again. */
  readonly retried: number
}

export interface Runner {
  /** Since the beginning. */
  readonly counts: RunCounts
  /** Run what is due, until nothing of it is ready or everything in hand waits for what is not due. */
  runDue(): Promise<void>
  /** When the next of the waiting jobs or the next tick is due. */
  nextDue(): Promise<number | undefined>
  /** Abort what still runs and give it back. */
  stop(): Promise<void>
}

/** A job whose handler has begun. */
interface Hand {
  readonly id: string
  readonly queue: string
  readonly executor: Executor<any>
  /** The jobs whose results its handler waits for, once for each wait. */
  readonly waits: Set<{ readonly id: string }>
  /** Resolves when it is settled and its handler has ended. */
  readonly settled: Promise<void>
}

/** How long a handler may go on after its timeout, before it no longer keeps the others waiting. */
const GRACE = 1_000

export function createRunner(parts: ClientParts<any>, plan: WorkerPlan, driver: StatefulDriver<any>): Runner {
  const worker = newId()
  const queues = plan.queues.map(({ name }) => name)
  const counts = { completed: 0, dead: 0, retried: 0 }
  const stopping = new AbortController()
  const hands = new Set<Hand>()
  const bell = createBell()
  const schedules = new Set(plan.schedules.map(({ name }) => name))
  const ticker = createTicker({ driver, session: parts.session, own: schedules })
  const [pulse, deadlines] = [createPulse(), createDeadlines()]
  const offs = [driver.signals.on('work', bell.ring), driver.signals.on('done', bell.ring)]
  let presence: Presence | undefined

  const info = (): WorkerInfo => ({
    pid: process.pid,
    host: hostname(),
    queues,
    tasks: [...plan.handlers.keys()],
    schedules: [...schedules],
    concurrency: 1,
    running: hands.size,
    jobs: [],
    abandoned: 0,
    load: 0,
    loopDelay: 0,
    startedAt: parts.session.around.now(),
    stopping: stopping.signal.aborted,
  })

  /** The jobs in this state that are this worker's to take, in order of their time and then of their arrival. */
  async function mine(state: 'ready' | 'scheduled'): Promise<readonly JobRecord[]> {
    const entries = await driver.state.list({ prefix: PAUSED_PREFIX })
    const paused = entries.map(({ key }) => key.slice(PAUSED_PREFIX.length))
    const { jobs } = await driver.jobs.list({ states: [state], limit: Number.MAX_SAFE_INTEGER })
    return jobs
      .filter(({ envelope: { queue } }) => queues.includes(queue) && !paused.includes(queue))
      .reverse()
      .sort((a, b) => a.dueAt - b.dueAt)
  }

  /** Take one job and begin with it. `false`: there is none. */
  async function startNext(): Promise<boolean> {
    const [oldest] = await mine('ready')
    if (!oldest) return false
    const { queue } = oldest.envelope
    let taken = false
    const consumer = await driver.broker.consume({
      queue,
      worker,
      prefetch: 1,
      onDelivery(delivery) {
        taken = true
        consumer.setPrefetch(0)
        begin(delivery, () => consumer.stop())
        bell.ring()
      },
    })
    for (;;) {
      const change = bell.next()
      const { ready, active = 0 } = await driver.broker.stats({ queue })
      if (taken) return true
      // Somebody else was quicker, or has called it off. What is active and in nobody's hands is on its way.
      if (ready === 0 && active === [...hands].filter((hand) => hand.queue === queue).length) {
        await consumer.stop()
        return taken
      }
      await change
    }
  }

  function begin(delivery: Delivery<any>, stopConsumer: () => Promise<void>): void {
    const { id, queue } = delivery.envelope
    const waits: Hand['waits'] = new Set()
    // One for each job, so that it is known whose handler waits for a result.
    const executor = createExecutor({
      parts: watching(parts, waits),
      plan,
      stopping: stopping.signal,
      grace: GRACE,
      pulse,
      deadlines,
    })
    const settled = execute(executor, delivery)
    const hand: Hand = { id, queue, executor, waits, settled }
    hands.add(hand)
    void settled
      .then(() => count(delivery))
      .then(() => executor.quiet())
      .then(stopConsumer)
      .finally(() => {
        hands.delete(hand)
        bell.ring()
      })
  }

  /** The parts of a client, with an eye on who waits for results. */
  function watching(all: ClientParts<any>, waits: Hand['waits']): ClientParts<any> {
    return {
      ...all,
      results: {
        ...all.results,
        async wait(id, o) {
          const wait = { id }
          waits.add(wait)
          bell.ring()
          try {
            return await all.results.wait(id, o)
          } finally {
            waits.delete(wait)
            bell.ring()
          }
        },
      },
    }
  }

  /** What the store says of the run, not what the worker believes: an answer may have been lost. */
  async function count({ envelope, run, attempt }: Delivery<any>): Promise<void> {
    const [record] = await driver.jobs.get({ ids: [envelope.id] })
    if (record?.run !== run) return
    if (record.state === 'completed') counts.completed += 1
    else if (record.state === 'dead') counts.dead += 1
    else if (record.state !== 'cancelled' && record.attempt === attempt) counts.retried += 1
  }

  /** Make the ticks that are due; answers when the next one is. */
  async function makeTicks(): Promise<number | undefined> {
    for (;;) {
      const now = parts.session.around.now()
      const { due } = await ticker.step(now)
      if (due === undefined || due > now) return due
    }
  }

  /** Something in hand goes on by itself: it is at work, or about to hear the result that it waits for. */
  async function atWork(): Promise<boolean> {
    const held = [...hands]
    if (held.some(({ waits }) => waits.size === 0)) return true
    const ids = held.flatMap(({ waits }) => [...waits].map(({ id }) => id))
    const records = new Map((await driver.jobs.get({ ids })).map((record) => [record.envelope.id, record]))
    return ids.some((id) => {
      const state = records.get(id)?.state ?? 'completed'
      return isFinished(state) || (state === 'active' && !held.some((hand) => hand.id === id))
    })
  }

  return {
    counts,
    async runDue() {
      const { log } = parts.session
      const { workers, traits } = driver
      await makeTicks()
      presence ??= await startPresence({
        what: 'store',
        workers,
        worker,
        lease: traits.lease,
        pulse,
        info,
        onPaused: () => {},
        log,
      })
      for (;;) {
        const change = bell.next()
        if (await atWork()) await change
        else if (!(await startNext())) break
      }
      if (hands.size > 0) return // their lease must hold
      await presence.leave()
      presence = undefined
    },
    async nextDue() {
      const [job, tick] = [(await mine('scheduled'))[0]?.dueAt, await makeTicks()]
      return job === undefined ? tick : Math.min(job, tick ?? job)
    },
    async stop() {
      stopping.abort(new WorkerStoppingError())
      for (const { executor } of hands) {
        executor.abortAll(new WorkerStoppingError())
        executor.giveBackAll()
      }
      await Promise.all([...hands].map(({ settled }) => settled))
      for (const off of offs) off()
      await presence?.leave()
    },
  }
}

/** Resolves when the job is settled and its handler's slot is free. */
async function execute(executor: Executor<any>, delivery: Delivery<any>): Promise<void> {
  let free!: () => void
  const slot = new Promise<void>((resolve) => (free = resolve))
  await executor.execute(delivery, free)
  await slot
}

/** Something to wait for again and again: `next()` resolves when the bell is rung the next time. */
function createBell(): { ring(): void; next(): Promise<void> } {
  let rung!: () => void
  let next!: Promise<void>
  const renew = () => {
    next = new Promise((resolve) => (rung = resolve))
  }
  renew()
  return {
    next: () => next,
    ring() {
      rung()
      renew()
    },
  }
}
