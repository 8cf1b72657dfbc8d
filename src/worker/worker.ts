// A worker: the list of its parts, how they start, and how they stop.
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientParts } from '../client/client.js'
import { LONGEST_TIMER, toMs, type Duration } from '../core/duration.js'
import { WorkerStoppingError, messageOf } from '../core/errors.js'
import { newId } from '../core/id.js'
import type { WorkerInfo } from '../driver/driver.js'
import { createPulse } from '../driver/pulse.js'
import { declareTasks } from './catalogue.js'
import { checkTimeouts } from './check-timeouts.js'
import type { Companion } from './companion.js'
import { tasksOf, type WorkerPlan } from './define.js'
import { createExecutor } from './executor.js'
import { startIntake } from './intake.js'
import { startJanitor } from './janitor.js'
import { watchLoop } from './loop.js'
import { startPresence } from './presence.js'
import { onStopSignals } from './shutdown.js'
import type { Worker, WorkOptions } from './types.js'

/** Jobs that a beat tells of. */
const SHOWN_JOBS = 20
const DEFAULT_GRACE = 25_000
/** How long an aborted handler may take to notice, before its job is given back. */
const ABORT_PATIENCE = 500
/** How long a stop waits for each thing that it writes to the store. */
const STORE_PATIENCE = 2_000

/** @throws what the store answers; then nothing of the worker is left. */
export async function startWorker<Tx>(
  parts: ClientParts<Tx>,
  plan: WorkerPlan,
  options: WorkOptions,
  companions: readonly Companion[] = [],
): Promise<Worker> {
  const { session } = parts
  const { log } = session
  const driver = await session.open()
  const id = newId()
  const startedAt = Date.now()
  const grace = toMs(options.grace ?? DEFAULT_GRACE, 'grace')
  const stopping = new AbortController()
  const pulse = createPulse()
  const executor = createExecutor({ parts, plan, stopping: stopping.signal, grace, pulse })
  const tasks = [...plan.handlers.values()].map(({ task }) => task)
  const queueNames = plan.queues.map(({ name }) => name)
  const info = (): WorkerInfo => ({
    pid: process.pid,
    host: hostname(),
    queues: queueNames,
    tasks: tasks.map(({ name }) => name),
    schedules: plan.schedules.map(({ name }) => name),
    concurrency: plan.concurrency,
    // A job whose handler has ended needs no slot, but it is still in our hands until it is settled.
    running: Math.min(executor.running, plan.concurrency),
    jobs: executor.jobs().slice(0, SHOWN_JOBS),
    abandoned: executor.abandoned,
    ...loop.sample(),
    startedAt,
    stopping: stopping.signal.aborted,
  })

  checkTimeouts(driver, tasks)
  for (const name of queueNames) await driver.broker.declare({ name })
  await declareTasks(driver, tasksOf(plan))
  for (const companion of companions) await companion.declare({ parts, driver, plan, worker: id })
  const loop = watchLoop({ log, jobs: executor.jobs })
  let paused: readonly string[] = []
  let onPaused: (queues: readonly string[]) => void = (queues) => {
    paused = queues
  }
  const presence = await startPresence({
    workers: driver.workers,
    what: driver.traits.remembers ? 'store' : 'broker',
    worker: id,
    lease: driver.traits.lease,
    pulse,
    info: () => {
      executor.tellPulse()
      return info()
    },
    onPaused: (queues) => onPaused(queues),
    log,
  }).catch((error: unknown) => {
    loop.stop()
    throw error
  })
  const intake = await startIntake({ broker: driver.broker, worker: id, plan, executor, paused }).catch(
    async (error: unknown) => {
      loop.stop()
      await presence.leave().catch(() => {})
      throw error
    },
  )
  onPaused = intake.setPaused
  const janitor = driver.traits.remembers
    ? startJanitor({ jobs: driver.jobs, eventLog: driver.eventLog, log })
    : undefined // there is nothing to remove
  const beside = companions.flatMap((companion) => companion.start?.({ parts, driver, plan, worker: id }) ?? [])

  let hurry!: () => void
  const hurried = new Promise<void>((resolve) => (hurry = resolve))
  let stopped: Promise<void> | undefined
  let tellDone!: (end: Promise<void>) => void
  const done = new Promise<void>((resolve) => (tellDone = resolve))
  done.catch(() => {}) // who does not wait for it must not be ended by it

  async function shutDown(ms: number): Promise<void> {
    log.info({ worker: id, running: executor.running, grace: `${ms}ms` }, 'Worker stopping.')
    stopping.abort(new WorkerStoppingError())
    const resting = within(STORE_PATIENCE, Promise.allSettled(beside.map((one) => one.stop())))
    await intake.stop()
    await resting
    // So that nobody takes what follows for a crash, should we be killed meanwhile.
    await within(STORE_PATIENCE, presence.beat())
    const idle = intake.idle()
    await Promise.race([within(ms, Promise.all([idle, executor.quiet()])), hurried])
    executor.abortAll(new WorkerStoppingError())
    await Promise.race([within(ABORT_PATIENCE, idle), hurried])
    executor.giveBackAll()
    // From here on nothing may take long: what a store that is away keeps us from writing is left to the lease.
    await within(STORE_PATIENCE, idle)
    await within(STORE_PATIENCE, Promise.all([intake.close(), janitor?.stop()]))
    const left = presence.leave().catch((error: unknown) => {
      log.warn({ worker: id, error: messageOf(error) }, 'Could not sign off.')
    })
    await within(STORE_PATIENCE, left)
    // Who hurries does not wait for it: what it would close ends with the process.
    await Promise.race([plan.onStop?.(), hurried])
    log.info({ worker: id }, 'Worker stopped.')
  }

  function stop(o: { grace?: Duration } = {}): Promise<void> {
    const ms = o.grace === undefined ? grace : toMs(o.grace, 'grace')
    if (stopped && o.grace !== undefined) setTimeout(hurry, Math.min(ms, LONGEST_TIMER)).unref()
    if (!stopped) tellDone((stopped = shutDown(ms).finally(release)))
    return stopped!
  }

  /** End at once: nothing is waited for but the store. */
  async function fall(): Promise<void> {
    stopping.abort(new WorkerStoppingError())
    void Promise.allSettled(beside.map((one) => one.stop()))
    await intake.stop() // what has not begun goes back in order
    await within(
      STORE_PATIENCE,
      presence.leave({ crashed: true }).catch(() => {}),
    )
    await within(STORE_PATIENCE, Promise.all([intake.close(), janitor?.stop()]))
    release()
  }

  const releaseSignals = options.signals ? onStopSignals(stop, log) : () => {}
  function release(): void {
    loop.stop()
    releaseSignals()
  }
  log.info({ worker: id, queues: queueNames.join(','), concurrency: plan.concurrency }, 'Worker started.')
  void intake.broken.then((error) => {
    log.error({ worker: id, error: messageOf(error) }, 'The link to the broker is gone for good; the worker stops.')
    tellDone(
      stop().then(() => {
        throw error
      }),
    )
  })

  return {
    id,
    done,
    stop,
    [Symbol.asyncDispose]: () => stop(),
    async crash() {
      const begun = executor.begun()
      tellDone((stopped ??= fall()))
      await stopped.catch(() => {})
      return begun
    },
    health() {
      const reasons = [
        ...(stopping.signal.aborted ? ['the worker is stopping'] : []),
        ...(presence.away ? [`the ${presence.away} does not answer`] : []),
        ...(executor.abandoned >= plan.concurrency
          ? [`${executor.abandoned} handlers went on after their timeout`]
          : []),
      ]
      return { ready: reasons.length === 0, reasons, running: executor.running, abandoned: executor.abandoned }
    },
  }
}

/** Resolves with `work`, or after `ms`, whichever comes first. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  const timeout = sleep(Math.min(ms, LONGEST_TIMER), undefined, { signal: over.signal }).catch(() => {})
  await Promise.race([work, timeout])
  over.abort()
}
