// One delivery from arrival to settlement: check, run, decide, settle. Every way out settles once or has lost the job.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientParts } from '../client/client.js'
import { infoOf } from '../client/job.js'
import { decode, encode } from '../core/codec.js'
import { toMs } from '../core/duration.js'
import {
  JobCancelledError,
  LeaseLostError,
  hasCode,
  messageOf,
  toJobError,
  type DeadReason,
  type RetryLaterError,
} from '../core/errors.js'
import { retryDelay } from '../core/retry.js'
import { check, validationError } from '../core/schema.js'
import { specOf } from '../core/task.js'
import type { Delivery, LostReason } from '../driver/driver.js'
import { startAttempt, type Attempt, type Outcome } from './attempt.js'
import { createContext, type LiveContext } from './context.js'
import type { WorkerPlan } from './define.js'
import type { BoundHandler, Context } from './types.js'

/** A job without a handler anywhere is given up after a day: a rolling deploy kills no job. */
const NO_HANDLER_LIMIT = 86_400_000
const NO_HANDLER_MIN_DELAY = 1_000
const NO_HANDLER_MAX_DELAY = 60_000

/** The job is settled, but its handler goes on. */
interface Overtaken {
  readonly slotFree: Promise<void>
}

interface Running {
  readonly live: LiveContext
  readonly attempt: Attempt
  lost: boolean
  stopped: boolean
}

export interface Executor<Tx> {
  /**
   * Do what is to do with a delivery; never rejects. Resolves when it is settled, or lost. `freed` is called once, when its
   * slot is free: usually before, as soon as the handler has ended; but after, when the handler outlives its timeout.
   */
  execute(delivery: Delivery<Tx>, freed: () => void): Promise<void>
  readonly running: number
  /** Handlers that went on after their timeout and grace. */
  readonly abandoned: number
  /** Abort every handler because the worker stops. */
  abortAll(reason: Error): void
  /** Give back every job that is not settled yet, without waiting for its handler. */
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
  const running = new Set<Running>()
  let abandoned = 0
  /** When the log last said that a task has no handler here: once a minute is enough. */
  const toldNoHandler = new Map<string, number>()

  async function run(delivery: Delivery<Tx>, free: () => void): Promise<Overtaken | undefined> {
    const { envelope } = delivery
    let gone: LostReason | undefined
    delivery.onLost((why) => (gone = why))
    if (gone !== undefined) {
      if (gone === 'cancelled') await untilDone(delivery, () => delivery.release())
      return undefined
    }
    const bound = o.plan.handlers.get(envelope.name)
    if (!bound) await noHandler(delivery)
    else if (envelope.expiresAt !== undefined && envelope.expiresAt <= Date.now())
      await die(
        delivery,
        bound,
        'expired',
        new Error(`The job expired at ${new Date(envelope.expiresAt).toISOString()}.`),
      )
    else if (!delivery.suspect || (await untilDone(delivery, () => delivery.start()))) {
      const input = await inputOf(bound, delivery)
      if ('error' in input) await die(delivery, bound, 'invalid-input', input.error)
      else return handleOnce(delivery, bound, input.value, free)
    }
    return undefined
  }

  async function handleOnce(
    delivery: Delivery<Tx>,
    bound: BoundHandler,
    input: unknown,
    free: () => void,
  ): Promise<Overtaken | undefined> {
    const { id } = delivery.envelope
    const spec = specOf(bound.task)
    const deadline = spec.timeout === false ? undefined : Date.now() + spec.timeout
    const live = createContext({ parts: o.parts, delivery, spec, stopping: o.stopping, deadline })
    const { timeout } = spec
    const started = startAttempt({
      bound,
      input,
      context: live.context,
      middleware: o.plan.middleware,
      timeout,
      onTimeout: live.abort,
    })
    const one: Running = { live, attempt: started, lost: false, stopped: false }
    running.add(one)
    delivery.onLost((why) => {
      if (why === 'cancelled') return live.abort(new JobCancelledError(id))
      one.lost = true
      live.abort(new LeaseLostError(id, delivery.run))
      started.giveBack()
    })
    const outcome = await started.outcome
    if (outcome.kind === 'returned') free() // its ack may wait for the disk; the slot need not
    try {
      if (one.lost)
        log.warn(
          { job: id, task: bound.task.name, run: delivery.run },
          'Lost the job: its lease ran out, or another worker has it.',
        )
      else await settle(delivery, bound, outcome, one)
    } finally {
      running.delete(one)
    }
    if (outcome.kind === 'returned' || outcome.kind === 'threw') return undefined
    return { slotFree: endOrAbandon(started, one.stopped) }
  }

  async function settle(delivery: Delivery<Tx>, bound: BoundHandler, outcome: Outcome, one: Running): Promise<void> {
    if (outcome.kind === 'given-back' || (outcome.kind === 'threw' && one.stopped))
      return void (await untilDone(delivery, () => delivery.release({ why: 'stop' })))
    if (outcome.kind === 'returned') {
      const result = await resultOf(bound, outcome.value)
      if ('error' in result) return die(delivery, bound, 'invalid-output', result.error, one.live.context)
      return void (await untilDone(delivery, () =>
        delivery.ack(result.text === undefined ? {} : { result: result.text }),
      ))
    }
    await failed(delivery, bound, outcome.error, one.live.context)
  }

  async function failed(delivery: Delivery<Tx>, bound: BoundHandler, thrown: unknown, context: Context): Promise<void> {
    const { envelope, attempt } = delivery
    const spec = specOf(bound.task)
    const about = { job: envelope.id, task: envelope.name, error: messageOf(thrown) }
    if (hasCode(thrown, 'ERR_RETRY_LATER')) {
      const delay = toMs((thrown as RetryLaterError).delay, 'RetryLaterError delay')
      if (envelope.expiresAt !== undefined && Date.now() + delay >= envelope.expiresAt)
        return die(delivery, bound, 'expired', thrown, context)
      return void (await untilDone(delivery, () => delivery.release({ delay, why: 'later' })))
    }
    if (hasCode(thrown, 'ERR_NON_RETRYABLE') || attempt >= spec.retry.maxAttempts)
      return die(delivery, bound, 'failed', thrown, context)
    const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown))
    const delay = backoff(spec.retry, attempt, error)
    log.warn({ ...about, again: `${delay}ms` }, `Attempt ${attempt} of ${spec.retry.maxAttempts} failed.`)
    await untilDone(delivery, () => delivery.retry({ delay, error: toJobError(thrown, Date.now()) }))
  }

  /** A backoff function of the user may throw; the job must not be lost for it. */
  function backoff(policy: ReturnType<typeof specOf>['retry'], attempt: number, error: Error): number {
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
    const { onDead } = bound.options
    if (!onDead) return
    try {
      const { jobs } = await session.open()
      const [record] = await jobs.get({ ids: [id] })
      if (record?.state === 'dead') await onDead(infoOf(record), context ?? contextOf(delivery, bound))
    } catch (failure) {
      log.error({ job: id, task: name, error: messageOf(failure) }, 'onDead failed.')
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

  /**
   * Settle, again and again while the store is away: the handler is not run again for an outage. Answers whether the job
   * was still ours.
   */
  async function untilDone(delivery: Delivery<Tx>, verb: () => Promise<void>): Promise<boolean> {
    let lost = false
    delivery.onLost((why) => (lost ||= why !== 'cancelled'))
    for (let wait = 100; ; wait = Math.min(2_000, wait * 2)) {
      try {
        await verb()
        return true
      } catch (error) {
        if (hasCode(error, 'ERR_BROKER_UNAVAILABLE') && !lost) {
          log.warn({ job: delivery.envelope.id, error: messageOf(error) }, 'Could not settle; trying again.')
          await sleep(wait)
          continue
        }
        if (!hasCode(error, 'ERR_LEASE_LOST') && !hasCode(error, 'ERR_CLIENT_CLOSED')) throw error
        log.warn({ job: delivery.envelope.id, error: messageOf(error) }, 'Nothing was written for this run.')
        return false
      }
    }
  }

  /** The handler was overtaken: it keeps its slot for the grace, then counts as abandoned until it ends. */
  async function endOrAbandon(started: Attempt, stopped: boolean): Promise<void> {
    if (stopped) return
    const patience = new AbortController()
    const late = sleep(o.grace, 'late', { signal: patience.signal }).catch(() => 'ended')
    const first = await Promise.race([started.ended.then(() => 'ended'), late])
    patience.abort()
    if (first === 'ended') return
    abandoned += 1
    void started.ended.then(() => (abandoned -= 1))
  }

  /** What nobody foresaw: the job is given back, rather than held until this worker stops. */
  async function unsettled(delivery: Delivery<Tx>, error: unknown): Promise<void> {
    const { id, name } = delivery.envelope
    if (hasCode(error, 'ERR_LEASE_LOST')) return log.warn({ job: id, task: name }, messageOf(error))
    log.error({ job: id, task: name, error: messageOf(error) }, 'The job could not be settled; giving it back.')
    await delivery.release({ delay: NO_HANDLER_MIN_DELAY, why: 'later' }).catch((failure: unknown) => {
      log.error(
        { job: id, error: messageOf(failure) },
        'It could not be given back either; it returns when this worker stops.',
      )
    })
  }

  return {
    get running() {
      return running.size
    },
    get abandoned() {
      return abandoned
    },
    async execute(delivery, freed) {
      let isFree = false
      const free = () => {
        if (!isFree) freed()
        isFree = true
      }
      let overtaken: Overtaken | undefined
      try {
        overtaken = await run(delivery, free)
      } catch (error) {
        await unsettled(delivery, error)
      }
      if (overtaken) void overtaken.slotFree.then(free)
      else free()
    },
    abortAll(reason) {
      for (const one of running) {
        one.stopped = true
        one.live.abort(reason)
      }
    },
    giveBackAll() {
      for (const one of running) one.attempt.giveBack()
    },
  }
}

async function inputOf(bound: BoundHandler, delivery: Delivery<any>): Promise<{ value: unknown } | { error: unknown }> {
  const what = `Input of task "${bound.task.name}"`
  try {
    const checked = await check(specOf(bound.task).input, decode(delivery.envelope.body, what))
    return 'issues' in checked ? { error: validationError(what, checked.issues) } : checked
  } catch (error) {
    return { error }
  }
}

/** The text of what a handler returned, if its schema lets it pass. A task without output keeps none. */
async function resultOf(
  bound: BoundHandler,
  value: unknown,
): Promise<{ text: string | undefined } | { error: unknown }> {
  const { output } = specOf(bound.task)
  if (output === undefined) return { text: undefined }
  const what = `Result of task "${bound.task.name}"`
  try {
    const checked = await check(output, value)
    return 'issues' in checked ? { error: validationError(what, checked.issues) } : { text: encode(value, what) }
  } catch (error) {
    return { error }
  }
}
