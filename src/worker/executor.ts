// One delivery from arrival to settlement: check, run, decide, settle. Every way out settles once or has lost the job.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientParts } from '../client/client.js'
import { infoOf } from '../client/job.js'
import { LONGEST_TIMER, toMs } from '../core/duration.js'
import {
  JobCancelledError,
  LeaseLostError,
  hasCode,
  messageOf,
  toJobError,
  type DeadReason,
  type JobError,
  type RetryLaterError,
} from '../core/errors.js'
import { retryDelay, type RetryPolicy } from '../core/retry.js'
import { specOf } from '../core/task.js'
import type { Delivery, JobRecord, LostReason, ReleaseReason, RunningJob } from '../driver/driver.js'
import { ticketOf } from '../driver/compose/handing.js'
import type { Pulse } from '../driver/pulse.js'
import { seldom } from '../observe/seldom.js'
import { Attempt, type Outcome } from './attempt.js'
import { JobContext } from './context.js'
import type { WorkerPlan } from './define.js'
import { createDeadlines, type Deadlines } from './deadlines.js'
import { createSettling } from './settling.js'
import type { BoundHandler, Context } from './types.js'

/** A job without a handler anywhere is given up after a day: a rolling deploy kills no job. */
const NO_HANDLER_LIMIT = 86_400_000
/** Where nobody can see or cancel such a job, and the broker carries it around, it is given up sooner. */
const NO_HANDLER_LIMIT_FORGETFUL = 600_000
const NO_HANDLER_MIN_DELAY = 1_000
const NO_HANDLER_MAX_DELAY = 60_000
/** What is true of job after job is said once in so long. */
const TELL_AGAIN = 60_000
/** A job of a store's books, met by a worker that does not know the store, is left to others for so long. */
const LEFT_DELAY = 2_000
/** A handler that puts its job off does not make the worker spin. */
const LATER_MIN_DELAY = 10
/** After what nobody foresaw. */
const UNFORESEEN_DELAY = 1_000

/** A delivery in our hands. */
interface Running<Tx> {
  readonly delivery: Delivery<Tx>
  why: LostReason | undefined
  stopped: boolean
  context: JobContext | undefined
  attempt: Attempt | undefined
}

export interface Executor<Tx> {
  /**
   * Do what is to do with a delivery; never rejects. Resolves when it is settled, or lost. `freed` is called once, when its
   * slot is free: usually before, as soon as the handler has ended; but after, when the handler outlives its timeout.
   */
  execute(delivery: Delivery<Tx>, freed: () => void): Promise<void>
  /** Give back a delivery that has not begun. Never rejects. */
  giveBack(delivery: Delivery<Tx>, o: { readonly delay?: number; readonly why: ReleaseReason }): Promise<void>
  /** Deliveries that are executed or being settled. */
  readonly running: number
  /** Ids of the jobs whose handlers have begun. */
  begun(): readonly string[]
  /** Jobs whose handlers have begun and which are not settled yet; those that began first come first. */
  jobs(): readonly RunningJob[]
  /** Handlers that went on after their timeout and grace. */
  readonly abandoned: number
  /** Tell the pulse for how long the running handlers may go on. */
  tellPulse(): void
  /** Resolves when no `onDead` is under way. */
  quiet(): Promise<unknown>
  /** Abort every handler because the worker stops. */
  abortAll(reason: Error): void
  /** Give back every job that is not settled yet, without waiting for its handler or for a store that is away. */
  giveBackAll(): void
}

export function createExecutor<Tx>(o: {
  readonly parts: ClientParts<Tx>
  readonly plan: WorkerPlan
  readonly stopping: AbortSignal
  /** How long a handler may go on after its timeout before it counts as abandoned. */
  readonly grace: number
  readonly pulse: Pulse
  /** Shared with other executors; default: of its own. */
  readonly deadlines?: Deadlines
}): Executor<Tx> {
  const { session } = o.parts
  const { log } = session
  const { untilDone, giveUp } = createSettling(log)
  const running = new Set<Running<Tx>>()
  const afterwards = new Set<Promise<void>>()
  const patience = new AbortController()
  const deadlines = o.deadlines ?? createDeadlines()
  let abandoned = 0
  const mayTell = seldom(TELL_AGAIN)

  /** Whether its handler may begin; what is in the way of that has been settled. */
  async function mayRun(one: Running<Tx>, bound: BoundHandler | undefined): Promise<boolean> {
    const { delivery } = one
    const { expiresAt } = delivery.envelope
    if (one.why !== undefined) await putBack(delivery, one)
    else if (isInBooks(delivery)) await leaveToStore(delivery)
    else if (!bound) await noHandler(delivery)
    else if (expiresAt !== undefined && expiresAt <= session.around.now())
      await die(delivery, bound, 'expired', expired(expiresAt))
    else return !delivery.suspect || untilDone(delivery, () => delivery.start())
    return false
  }

  /** A store has the books of it, and this worker was connected with the broker alone. */
  const isInBooks = ({ envelope }: Delivery<Tx>) => !session.remembers && ticketOf(envelope) !== undefined

  async function leaveToStore(delivery: Delivery<Tx>): Promise<void> {
    const { id, queue } = delivery.envelope
    if (mayTell('in the books'))
      log.warn(
        { job: id, queue },
        'This worker has a broker without a store, and the job is in the books of a store; it is left to workers with both. Give this one the store, too (MILLRACE_STORE), or keep the two apart by a namespace.',
      )
    await untilDone(delivery, () => delivery.release({ delay: LEFT_DELAY, why: 'stop' }))
  }

  function begin(one: Running<Tx>, bound: BoundHandler): Attempt {
    const { delivery } = one
    const spec = specOf(bound.task)
    const { timeout } = spec
    const context = new JobContext({ parts: o.parts, delivery, spec, stopping: o.stopping, timeout })
    one.context = context
    return (one.attempt = new Attempt({
      bound,
      body: delivery.envelope.body,
      context,
      middleware: o.plan.middleware,
      deadlines,
      pulse: o.pulse,
      mayBegin: () => one.why === undefined && !one.stopped,
      onTimeout: (error) => JobContext.abort(context, error),
    }))
  }

  function settle(delivery: Delivery<Tx>, bound: BoundHandler, outcome: Outcome, one: Running<Tx>): Promise<unknown> {
    if (isLost(one) || outcome.kind === 'given-back' || outcome.kind === 'done') return putBack(delivery, one)
    if (outcome.kind === 'invalid') return die(delivery, bound, outcome.reason, outcome.error, one.context)
    if (one.stopped) return putBack(delivery, one)
    return failed(delivery, bound, outcome.error, one.context)
  }

  /** Without having run to an end: unspent. A cancelled job ends cancelled by that; a lost one is not ours to settle. */
  async function putBack(delivery: Delivery<Tx>, one: Running<Tx>): Promise<void> {
    if (isLost(one)) {
      const { id: job, name: task } = delivery.envelope
      log.warn({ job, task, run: delivery.run }, 'Lost the job: its lease ran out, or another worker has it.')
    } else await untilDone(delivery, () => delivery.release({ why: 'stop' }))
  }

  async function failed(delivery: Delivery<Tx>, bound: BoundHandler, thrown: unknown, context: Context | undefined) {
    const { envelope, attempt } = delivery
    const { retry } = specOf(bound.task)
    const later = hasCode(thrown, 'ERR_RETRY_LATER') ? laterDelay(thrown as RetryLaterError) : undefined
    if (later !== undefined) {
      if (envelope.expiresAt !== undefined && session.around.now() + later >= envelope.expiresAt)
        await die(delivery, bound, 'expired', thrown, context)
      else await untilDone(delivery, () => delivery.release({ delay: later, why: 'later' }))
    } else if (hasCode(thrown, 'ERR_NON_RETRYABLE') || attempt >= retry.maxAttempts)
      await die(delivery, bound, 'failed', thrown, context)
    else {
      const delay = backoff(retry, attempt, thrown instanceof Error ? thrown : new Error(messageOf(thrown)))
      log.warn(
        { job: envelope.id, task: envelope.name, error: messageOf(thrown), again: `${delay}ms` },
        `Attempt ${attempt} of ${retry.maxAttempts} failed.`,
      )
      await untilDone(delivery, () => delivery.retry({ delay, error: toJobError(thrown, session.around.now()) }))
    }
  }

  /** A backoff function of the user may throw; the job must not be lost for it. */
  function backoff(policy: RetryPolicy, attempt: number, error: Error): number {
    try {
      return retryDelay(policy, attempt, error, session.around.random())
    } catch (cause) {
      log.error({ error: messageOf(cause) }, 'The `backoff` function failed; the job is tried again after 1 minute.')
      return 60_000
    }
  }

  async function die(
    delivery: Delivery<Tx>,
    bound: BoundHandler,
    reason: DeadReason,
    thrown: unknown,
    context?: Context,
  ) {
    const { id, name } = delivery.envelope
    log.error({ job: id, task: name, reason, error: messageOf(thrown) }, 'The job is dead.')
    const error = toJobError(thrown, session.around.now())
    if (!(await untilDone(delivery, () => delivery.dead({ reason, error })))) return
    if (!bound.options.onDead) return
    // Beside the next job: what it does, and how long, must not keep a slot.
    const told = { delivery, reason, error }
    const call = tellDead(bound, told, context ?? contextOf(delivery, bound)).finally(() => afterwards.delete(call))
    afterwards.add(call)
  }

  async function tellDead(bound: BoundHandler, told: Buried<Tx>, context: Context): Promise<void> {
    const { id } = told.delivery.envelope
    try {
      const { jobs } = await session.open()
      const [record] = session.remembers ? await jobs.get({ ids: [id] }) : [recordOf(told, session.around.now())]
      if (record?.state === 'dead') await bound.options.onDead?.(infoOf(record), context)
    } catch (failure) {
      log.error({ job: id, task: bound.task.name, error: messageOf(failure) }, 'onDead failed.')
    }
  }

  const contextOf = (delivery: Delivery<Tx>, bound: BoundHandler) =>
    new JobContext({ parts: o.parts, delivery, spec: specOf(bound.task), stopping: o.stopping, timeout: false })

  async function noHandler(delivery: Delivery<Tx>): Promise<void> {
    const { id, name, queue } = delivery.envelope
    const waited = delivery.blocked?.why === 'no-handler' ? session.around.now() - delivery.blocked.since : 0
    const [limit, long] = session.remembers ? [NO_HANDLER_LIMIT, 'a day'] : [NO_HANDLER_LIMIT_FORGETFUL, '10 minutes']
    if (waited >= limit) {
      const message = `No worker had a handler for task "${name}" for ${long}.`
      const error = toJobError(new Error(message), session.around.now())
      log.error({ job: id, task: name, queue }, 'The job is dead: no worker has a handler for its task.')
      await untilDone(delivery, () => delivery.dead({ reason: 'no-handler', error }))
      return
    }
    const delay = Math.min(NO_HANDLER_MAX_DELAY, Math.max(NO_HANDLER_MIN_DELAY, waited))
    if (mayTell(`no handler: ${name}`))
      log.warn({ job: id, queue }, `No handler for task "${name}" in this worker; its jobs are given back.`)
    await untilDone(delivery, () => delivery.release({ delay, why: 'no-handler' }))
  }

  /** The handler was overtaken: it keeps its slot for the grace, then counts as abandoned until it ends. */
  async function endOrAbandon(attempt: Attempt): Promise<void> {
    const enough = new AbortController()
    const signal = enough.signal
    const stopWaiting = () => enough.abort()
    patience.signal.addEventListener('abort', stopWaiting)
    if (patience.signal.aborted) stopWaiting()
    const late = sleep(Math.min(o.grace, LONGEST_TIMER), 'late', { signal }).catch(() => 'stopped')
    const first = await Promise.race([attempt.ended.then(() => 'ended'), late])
    patience.signal.removeEventListener('abort', stopWaiting)
    stopWaiting()
    if (first !== 'late') return
    abandoned += 1
    void attempt.ended.then(() => (abandoned -= 1))
  }

  /** What nobody foresaw: the job is given back, rather than held until this worker stops. */
  async function unforeseen(delivery: Delivery<Tx>, error: unknown): Promise<void> {
    const { id, name } = delivery.envelope
    log.error({ job: id, task: name, error: messageOf(error) }, 'The job could not be settled; giving it back.')
    await giveBack(delivery, { delay: UNFORESEEN_DELAY, why: 'later' })
  }

  async function giveBack(delivery: Delivery<Tx>, options: { readonly delay?: number; readonly why: ReleaseReason }) {
    await untilDone(delivery, () => delivery.release(options)).catch((error: unknown) => {
      log.error({ job: delivery.envelope.id, error: messageOf(error) }, 'A job could not be given back.')
    })
  }

  return {
    giveBack,
    get running() {
      return running.size
    },
    jobs: () => [...running].flatMap(({ delivery, attempt }) => (attempt ? [runningJob(delivery, attempt)] : [])),
    begun: () => [...running].filter((one) => one.attempt).map((one) => one.delivery.envelope.id),
    get abandoned() {
      return abandoned
    },
    tellPulse() {
      const latest = deadlines.latest()
      // Without a deadline among many: the one with the most time is meant.
      const unlimited = [...running].some((one) => one.attempt?.timeout === false)
      const left = latest === undefined ? undefined : latest - performance.now()
      o.pulse.running(unlimited ? false : left)
    },
    async execute(delivery, freed) {
      if (delivery.begin?.() === false) return freed()
      let isFree = false
      const free = () => {
        if (!isFree) freed()
        isFree = true
      }
      const one: Running<Tx> = { delivery, why: undefined, stopped: false, context: undefined, attempt: undefined }
      running.add(one)
      delivery.onLost((why) => {
        one.why = why
        const { id } = delivery.envelope
        const reason = why === 'cancelled' ? new JobCancelledError(id) : new LeaseLostError(id, delivery.run)
        if (one.context) JobContext.abort(one.context, reason)
        if (why !== 'cancelled') one.attempt?.giveBack()
      })
      let overtaken: Attempt | undefined
      try {
        const bound = o.plan.handlers.get(delivery.envelope.name)
        // Nothing is waited for that need not be: this is the way of almost every job.
        if ((bound && isPlain(one) && !isInBooks(delivery)) || (await mayRun(one, bound))) {
          const attempt = begin(one, bound!)
          const outcome = await attempt.outcome
          if (outcome.kind === 'done' && !isLost(one)) {
            free() // its ack may wait for the disk; the slot need not
            const done = outcome.result === undefined ? {} : { result: outcome.result }
            try {
              await delivery.ack(done)
            } catch (error) {
              await untilDone(delivery, () => delivery.ack(done), { error })
            }
          } else await settle(delivery, bound!, outcome, one)
          if (outcome.kind === 'timeout' || outcome.kind === 'given-back') overtaken = attempt
        }
      } catch (error) {
        await unforeseen(delivery, error)
      }
      running.delete(one)
      if (overtaken) void endOrAbandon(overtaken).then(free)
      else free()
    },
    quiet: () => Promise.allSettled(afterwards),
    abortAll(reason) {
      for (const one of running) {
        one.stopped = true
        if (one.context) JobContext.abort(one.context, reason)
      }
    },
    giveBackAll() {
      for (const one of running) {
        one.stopped = true
        one.attempt?.giveBack()
      }
      patience.abort()
      giveUp()
    },
  }
}

/** Milliseconds that a handler asked for, or `undefined` when it asked for what is no duration: then it has failed. */
function laterDelay(error: RetryLaterError): number | undefined {
  try {
    return Math.max(LATER_MIN_DELAY, toMs(error.delay, 'RetryLaterError'))
  } catch {
    return undefined
  }
}

function runningJob({ envelope, attempt: n, suspect }: Delivery<any>, attempt: Attempt): RunningJob {
  const since = Math.round(Date.now() - (performance.now() - attempt.since))
  return { id: envelope.id, name: envelope.name, attempt: n, suspect, since }
}

interface Buried<Tx> {
  readonly delivery: Delivery<Tx>
  readonly reason: DeadReason
  readonly error: JobError
}

/** A job that has just died, as its delivery knows it: where nothing is remembered there is nobody else to ask. */
function recordOf({ delivery, reason, error }: Buried<any>, now: number): JobRecord {
  const { envelope, attempt, run, crashes, suspect } = delivery
  const spent = reason === 'failed' || reason === 'invalid-output' ? attempt : attempt - 1
  return {
    envelope,
    state: 'dead',
    reason,
    run,
    attempt: spent,
    crashes,
    suspect,
    errors: [error],
    dueAt: envelope.notBefore ?? envelope.enqueuedAt,
    finishedAt: now,
    cancelling: false,
  }
}

const isLost = ({ why }: Running<any>) => why === 'lease' || why === 'link'

/** Nothing stands between it and its handler. */
const isPlain = ({ why, delivery }: Running<any>) =>
  why === undefined && !delivery.suspect && delivery.envelope.expiresAt === undefined

const expired = (at: number) => new Error(`The job expired at ${new Date(at).toISOString()}.`)
