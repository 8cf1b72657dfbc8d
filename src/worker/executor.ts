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
  type RetryLaterError,
} from '../core/errors.js'
import { retryDelay, type RetryPolicy } from '../core/retry.js'
import { specOf } from '../core/task.js'
import type { Delivery, LostReason, ReleaseReason, RunningJob } from '../driver/driver.js'
import { startAttempt, type Attempt, type Outcome } from './attempt.js'
import { createContext, type LiveContext } from './context.js'
import type { WorkerPlan } from './define.js'
import { createSettling } from './settling.js'
import type { BoundHandler, Context } from './types.js'

/** A job without a handler anywhere is given up after a day: a rolling deploy kills no job. */
const NO_HANDLER_LIMIT = 86_400_000
const NO_HANDLER_MIN_DELAY = 1_000
const NO_HANDLER_MAX_DELAY = 60_000
/** A handler that puts its job off does not make the worker spin. */
const LATER_MIN_DELAY = 10
/** After what nobody foresaw. */
const UNFORESEEN_DELAY = 1_000

/** A delivery in our hands. */
interface Running {
  readonly id: string
  readonly delivery: Delivery<never>
  /** When its handler began. */
  since: number
  why: LostReason | undefined
  stopped: boolean
  live: LiveContext | undefined
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
}): Executor<Tx> {
  const { session } = o.parts
  const { log } = session
  const { untilDone, giveUp } = createSettling(log)
  const running = new Set<Running>()
  const afterwards = new Set<Promise<void>>()
  const patience = new AbortController()
  let abandoned = 0
  /** When the log last said that a task has no handler here: once a minute is enough. */
  const toldNoHandler = new Map<string, number>()

  /** Answers when the slot is free, if the handler goes on although the job is settled. */
  async function run(delivery: Delivery<Tx>, one: Running, free: () => void): Promise<Promise<void>[]> {
    const { envelope } = delivery
    const bound = o.plan.handlers.get(envelope.name)
    if (one.why !== undefined) await putBack(delivery, one)
    else if (!bound) await noHandler(delivery)
    else if (envelope.expiresAt !== undefined && envelope.expiresAt <= Date.now())
      await die(delivery, bound, 'expired', expired(envelope.expiresAt))
    else if (!delivery.suspect || (await untilDone(delivery, () => delivery.start())))
      return handleOnce(delivery, bound, one, free)
    return []
  }

  async function handleOnce(
    delivery: Delivery<Tx>,
    bound: BoundHandler,
    one: Running,
    free: () => void,
  ): Promise<Promise<void>[]> {
    const spec = specOf(bound.task)
    const deadline = spec.timeout === false ? undefined : Date.now() + spec.timeout
    const live = createContext({ parts: o.parts, delivery, spec, stopping: o.stopping, deadline })
    one.live = live
    one.since = Date.now()
    one.attempt = startAttempt({
      bound,
      body: delivery.envelope.body,
      context: live.context,
      middleware: o.plan.middleware,
      mayBegin: () => one.why === undefined && !one.stopped,
      onTimeout: live.abort,
    })
    const outcome = await one.attempt.outcome
    if (outcome.kind === 'done') free() // its ack may wait for the disk; the slot need not
    await settle(delivery, bound, outcome, one)
    const overtaken = outcome.kind === 'timeout' || outcome.kind === 'given-back'
    return overtaken ? [endOrAbandon(one.attempt)] : []
  }

  async function settle(delivery: Delivery<Tx>, bound: BoundHandler, outcome: Outcome, one: Running): Promise<void> {
    if (one.why === 'lease' || one.why === 'link' || outcome.kind === 'given-back') await putBack(delivery, one)
    else if (outcome.kind === 'done')
      await untilDone(delivery, () => delivery.ack(outcome.result === undefined ? {} : { result: outcome.result }))
    else if (outcome.kind === 'invalid') await die(delivery, bound, outcome.reason, outcome.error, one.live?.context)
    else if (one.stopped) await putBack(delivery, one)
    else await failed(delivery, bound, outcome.error, one.live?.context)
  }

  /** Without having run to an end: unspent. A cancelled job ends cancelled by that; a lost one is not ours to settle. */
  async function putBack(delivery: Delivery<Tx>, one: Running): Promise<void> {
    if (one.why === 'lease' || one.why === 'link') {
      const { id: job, name: task } = delivery.envelope
      log.warn({ job, task, run: delivery.run }, 'Lost the job: its lease ran out, or another worker has it.')
    } else await untilDone(delivery, () => delivery.release({ why: 'stop' }))
  }

  async function failed(delivery: Delivery<Tx>, bound: BoundHandler, thrown: unknown, context: Context | undefined) {
    const { envelope, attempt } = delivery
    const { retry } = specOf(bound.task)
    const later = hasCode(thrown, 'ERR_RETRY_LATER') ? laterDelay(thrown as RetryLaterError) : undefined
    if (later !== undefined) {
      if (envelope.expiresAt !== undefined && Date.now() + later >= envelope.expiresAt)
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
      await untilDone(delivery, () => delivery.retry({ delay, error: toJobError(thrown, Date.now()) }))
    }
  }

  /** A backoff function of the user may throw; the job must not be lost for it. */
  function backoff(policy: RetryPolicy, attempt: number, error: Error): number {
    try {
      return retryDelay(policy, attempt, error, Math.random())
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
    const error = toJobError(thrown, Date.now())
    if (!(await untilDone(delivery, () => delivery.dead({ reason, error })))) return
    if (!bound.options.onDead) return
    // Beside the next job: what it does, and how long, must not keep a slot.
    const call = tellDead(bound, id, context ?? contextOf(delivery, bound)).finally(() => afterwards.delete(call))
    afterwards.add(call)
  }

  async function tellDead(bound: BoundHandler, id: string, context: Context): Promise<void> {
    try {
      const { jobs } = await session.open()
      const [record] = await jobs.get({ ids: [id] })
      if (record?.state === 'dead') await bound.options.onDead?.(infoOf(record), context)
    } catch (failure) {
      log.error({ job: id, task: bound.task.name, error: messageOf(failure) }, 'onDead failed.')
    }
  }

  const contextOf = (delivery: Delivery<Tx>, bound: BoundHandler) =>
    createContext({ parts: o.parts, delivery, spec: specOf(bound.task), stopping: o.stopping, deadline: undefined })
      .context

  async function noHandler(delivery: Delivery<Tx>): Promise<void> {
    const { id, name, queue } = delivery.envelope
    const waited = delivery.blocked?.why === 'no-handler' ? Date.now() - delivery.blocked.since : 0
    if (waited >= NO_HANDLER_LIMIT) {
      const error = toJobError(new Error(`No worker had a handler for task "${name}" for a day.`), Date.now())
      log.error({ job: id, task: name, queue }, 'The job is dead: no worker has a handler for its task.')
      await untilDone(delivery, () => delivery.dead({ reason: 'no-handler', error }))
      return
    }
    const delay = Math.min(NO_HANDLER_MAX_DELAY, Math.max(NO_HANDLER_MIN_DELAY, waited))
    if (Date.now() - (toldNoHandler.get(name) ?? 0) > NO_HANDLER_MAX_DELAY) {
      log.warn({ job: id, queue }, `No handler for task "${name}" in this worker; its jobs are given back.`)
      toldNoHandler.set(name, Date.now())
    }
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
    jobs: () =>
      [...running]
        .filter((one) => one.attempt)
        .map(({ id, since, delivery: { envelope, attempt, suspect } }) => ({
          id,
          name: envelope.name,
          attempt,
          suspect,
          since,
        })),
    begun: () => [...running].filter((one) => one.attempt).map((one) => one.id),
    get abandoned() {
      return abandoned
    },
    async execute(delivery, freed) {
      let isFree = false
      const free = () => {
        if (!isFree) freed()
        isFree = true
      }
      const one: Running = {
        id: delivery.envelope.id,
        delivery,
        since: 0,
        why: undefined,
        stopped: false,
        live: undefined,
        attempt: undefined,
      }
      running.add(one)
      delivery.onLost((why) => {
        one.why = why
        const { id } = delivery.envelope
        one.live?.abort(why === 'cancelled' ? new JobCancelledError(id) : new LeaseLostError(id, delivery.run))
        if (why !== 'cancelled') one.attempt?.giveBack()
      })
      const [slotFree] = await run(delivery, one, free).catch(async (error: unknown) => {
        await unforeseen(delivery, error)
        return []
      })
      running.delete(one)
      if (slotFree) void slotFree.then(free)
      else free()
    },
    quiet: () => Promise.allSettled(afterwards),
    abortAll(reason) {
      for (const one of running) {
        one.stopped = true
        one.live?.abort(reason)
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

const expired = (at: number) => new Error(`The job expired at ${new Date(at).toISOString()}.`)
