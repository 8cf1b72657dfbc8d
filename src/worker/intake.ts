// How much to take from which queue. A slot is the right to run one handler; credit is what a queue's consumer may still
// hand over. Queues that use up their credit share the free slots by weight; a quiet queue keeps one credit, so that its
// next job needs no asking.
import { specOf } from '../core/task.js'
import type { Broker, Consumer, Delivery } from '../driver/driver.js'
import type { WorkerPlan } from './define.js'
import type { Executor } from './executor.js'
import { createLookAhead } from './look-ahead.js'
import { createPatience } from './patience.js'

export interface Intake {
  /** Queues to take nothing from, by what the store says now. */
  setPaused(queues: readonly string[]): void
  /** Take nothing new and give back what has not begun. */
  stop(): Promise<void>
  /** End the links; every delivery must be settled by then. */
  close(): Promise<void>
  /** Resolves when no slot is taken. */
  idle(): Promise<void>
  /** Resolves with the error of the first link that is gone for good. */
  readonly broken: Promise<Error>
}

interface Lane {
  readonly name: string
  readonly limit: number
  /** Nothing is taken ahead: by its own limit or a handler's it could not be started, or there are other queues. */
  readonly limited: boolean
  readonly weight: number
  consumer: Consumer | undefined
  /** Deliveries that wait for a slot. */
  buffered: number
  running: number
  /** In our hands by the driver's count. */
  unsettled: number
  /** What the consumer may hand over beyond that. */
  credit: number
  /** The credit was given just now, and counts as slots that are taken. */
  fresh: boolean
  /** When it got credit after it had none; `undefined`: a job has come since. */
  askedAt: number | undefined
  /** Jobs of it were given back for want of a slot: take nothing more until one is free. */
  held: boolean
  told: number
  turn: number
}

interface Buffered<Tx> {
  readonly lane: Lane
  readonly delivery: Delivery<Tx>
  readonly since: number
}

/** How long handlers are started one after another before the event loop gets its turn. */
const LONGEST_TURN = 4
const LIMIT_DELAY = 500
const LONGEST_LIMIT_DELAY = 10_000
/** How long a job may wait in our hands for a slot. */
const STALE = 100

export async function startIntake<Tx>(o: {
  readonly broker: Broker<Tx>
  readonly worker: string
  readonly plan: WorkerPlan
  readonly executor: Executor<Tx>
  readonly paused: readonly string[]
}): Promise<Intake> {
  const { plan, executor } = o
  let paused = new Set(o.paused)
  let stopping = false
  let taken = 0
  let unsettled = 0
  const ahead = createLookAhead(plan.concurrency)
  const patience = createPatience()
  let again: NodeJS.Timeout | undefined
  const waitingForIdle: (() => void)[] = []
  let breakWith!: (error: Error) => void
  const broken = new Promise<Error>((resolve) => (breakWith = resolve))
  const perTask = new Map<string, number>()
  const limitDelays = new Map<string, number>()
  /** In order of arrival; the shares of the lanes were decided when they got their credit. */
  const buffer: Buffered<Tx>[] = []
  let stale: NodeJS.Timeout | undefined
  const several = plan.queues.length > 1
  const limits = [...plan.handlers.values()].some(({ options }) => options.concurrency !== undefined)
  // Immediates are never cleared: one that is cleared while an exception of another is handled stops all of them for good,
  // in Node 20 to 24 at least.
  let [allotting, resuming] = [false, false]
  /** Since when this turn of the event loop has been starting handlers. */
  let turnSince: number | undefined
  const lanes = plan.queues.map(({ name, concurrency, weight }): Lane => {
    const own = handlerRoom(plan, name)
    const limit = Math.min(concurrency, own.total)
    // With several queues their shares would be decided when jobs are taken, long before they start.
    const limited = several || limit < plan.concurrency || own.limited
    return {
      name,
      limit,
      limited,
      weight,
      consumer: undefined,
      buffered: 0,
      running: 0,
      unsettled: 0,
      credit: 0,
      fresh: false,
      askedAt: undefined,
      held: false,
      told: 0,
      turn: 0,
    }
  })

  const open = (lane: Lane) => !stopping && executor.abandoned < plan.concurrency && !paused.has(lane.name)
  const room = (lane: Lane) => lane.limit + (lane.limited ? 0 : ahead.jobs) - lane.running - lane.buffered

  /** Once for everything that happens in this turn of the event loop. */
  function allotSoon(): void {
    if (allotting) return
    allotting = true
    setImmediate(() => allotting && allot())
  }

  function allot(): void {
    allotting = false
    // A job whose handler has ended needs no slot, but it is still in our hands until it is settled.
    const most = plan.concurrency + (lanes.some((lane) => !lane.limited) ? ahead.jobs : 0)
    const free = most - Math.max(unsettled, taken + buffer.length)
    let budget = free
    for (const lane of lanes) {
      lane.credit = Math.min(lane.credit, open(lane) ? Math.max(0, room(lane)) : 0)
      if (lane.fresh) budget -= lane.credit
      else lane.credit = Math.min(lane.credit, Math.max(lane.held ? 0 : 1, free))
    }
    for (; budget > 0; budget--) {
      const lane = nextByWeight(
        lanes.filter((one) => open(one) && one.credit < room(one) && (one.fresh || one.credit === 0)),
      )
      if (!lane) break
      if (lane.credit === 0 && several) lane.askedAt = performance.now()
      lane.credit += 1
      lane.fresh = true
    }
    if (buffer.length > 0) stale ??= setTimeout(giveBackStale, STALE).unref()
    if (lanes.some((lane) => lane.fresh)) again ??= setTimeout(lose, patience.ms)
    for (const lane of lanes) tell(lane)
  }

  /** What waited too long for a slot goes back, for an idle worker to take: the handlers here turned out to be slow. */
  function giveBackStale(): void {
    stale = undefined
    const now = performance.now()
    while (buffer[0] && now - buffer[0].since >= STALE) {
      const one = buffer.shift()!
      one.lane.buffered -= 1
      one.lane.held = true
      ahead.stalled()
      giveBack(one.lane, one.delivery, atLimit(one.delivery) ? limitDelay(one.delivery) : 0)
    }
    allot()
  }

  /** Patience is over: credit that nobody used no longer keeps slots from the other queues. */
  function lose(): void {
    again = undefined
    for (const lane of lanes) lane.fresh = false
    allot()
  }

  function tell(lane: Lane): void {
    const prefetch = open(lane) ? lane.unsettled + lane.credit : 0
    if (prefetch === lane.told) return
    lane.told = prefetch
    lane.consumer?.setPrefetch(prefetch)
  }

  function arrived(lane: Lane, delivery: Delivery<Tx>): void {
    lane.unsettled += 1
    unsettled += 1
    if (lane.askedAt !== undefined) {
      patience.answered(performance.now() - lane.askedAt)
      lane.askedAt = undefined
    }
    lane.credit = Math.max(0, lane.credit - 1)
    lane.fresh &&= lane.credit > 0
    if (stopping) return giveBack(lane, delivery, 0)
    // A handler's own limit must not fill our hands with its jobs.
    if (limits && atLimit(delivery) && waitsEnough(delivery)) giveBack(lane, delivery, limitDelay(delivery))
    else {
      lane.buffered += 1
      buffer.push({ lane, delivery, since: performance.now() })
    }
    pump()
  }

  function giveBack(lane: Lane, delivery: Delivery<Tx>, delay: number): void {
    void executor.giveBack(delivery, delay > 0 ? { delay, why: 'limit' } : { why: 'stop' }).then(() => {
      lane.unsettled -= 1
      unsettled -= 1
      changed()
      allot() // now, or it would be taken again
    })
  }

  /** Longer each time, until a handler of the task has ended: its jobs would only be handed around. */
  function limitDelay({ envelope: { name } }: Delivery<Tx>): number {
    const delay = limitDelays.get(name) ?? LIMIT_DELAY
    limitDelays.set(name, Math.min(LONGEST_LIMIT_DELAY, delay * 1.1))
    return delay
  }

  function atLimit(delivery: Delivery<Tx>): boolean {
    const { name } = delivery.envelope
    return (perTask.get(name) ?? 0) >= (plan.handlers.get(name)?.options.concurrency ?? Infinity)
  }

  /** As many jobs of its task wait as may run at once. */
  function waitsEnough({ envelope: { name } }: Delivery<Tx>): boolean {
    const waiting = buffer.filter((other) => other.delivery.envelope.name === name).length
    return waiting >= (plan.handlers.get(name)?.options.concurrency ?? Infinity)
  }

  function pump(): void {
    while (taken < plan.concurrency && buffer.length > 0 && !resuming) {
      const now = performance.now()
      turnSince ??= beginTurn(now)
      if (now - turnSince > LONGEST_TURN) {
        resuming = true
        setImmediate(resume)
        break
      }
      const next = takeNext()
      if (!next) break
      next.lane.buffered -= 1
      start(next.lane, next.delivery, now)
    }
    allotSoon()
  }

  /** Handlers that never wait would keep the event loop from everything else, also from writing down what they did. */
  function resume(): void {
    if (!resuming) return
    resuming = false
    pump()
  }

  function beginTurn(now: number): number {
    setImmediate(() => (turnSince = undefined))
    return now
  }

  function takeNext(): Buffered<Tx> | undefined {
    if (!limits) return buffer.shift()
    const i = buffer.findIndex((one) => !atLimit(one.delivery))
    return i < 0 ? undefined : buffer.splice(i, 1)[0]
  }

  function start(lane: Lane, delivery: Delivery<Tx>, since: number): void {
    const { name } = delivery.envelope
    taken += 1
    lane.running += 1
    if (limits) perTask.set(name, (perTask.get(name) ?? 0) + 1)
    const freed = () => {
      taken -= 1
      lane.running -= 1
      for (const one of lanes) one.held = false
      if (limits) {
        perTask.set(name, perTask.get(name)! - 1)
        limitDelays.delete(name)
      }
      ahead.took(performance.now() - since)
      changed()
    }
    void executor.execute(delivery, freed).then(() => {
      lane.unsettled -= 1
      unsettled -= 1
      changed()
    })
  }

  function changed(): void {
    if (taken === 0 && unsettled === 0) for (const done of waitingForIdle.splice(0)) done()
    pump()
  }

  const closeLanes = async () => void (await Promise.all(lanes.map(async (lane) => lane.consumer?.stop())))
  try {
    for (const lane of lanes) {
      lane.consumer = await o.broker.consume({
        queue: lane.name,
        worker: o.worker,
        prefetch: 0,
        onDelivery: (delivery) => arrived(lane, delivery),
      })
      void lane.consumer.closed.then((error) => error && breakWith(error))
    }
  } catch (error) {
    await closeLanes()
    throw error
  }
  allot()

  return {
    broken,
    setPaused(queues) {
      paused = new Set(queues)
      allot()
    },
    async stop() {
      stopping = true
      clearTimeout(again)
      clearTimeout(stale)
      allotting = false
      resuming = false
      for (const lane of lanes) {
        lane.credit = 0
        lane.buffered = 0
        tell(lane)
      }
      for (const { lane, delivery } of buffer.splice(0)) giveBack(lane, delivery, 0)
    },
    close: closeLanes,
    idle: () =>
      new Promise((resolve) => {
        waitingForIdle.push(resolve)
        changed()
      }),
  }
}

/** A queue whose every handler is limited can use no more slots than they can together. */
function handlerRoom(plan: WorkerPlan, queue: string): { total: number; limited: boolean } {
  let total = 0
  let limited = false
  for (const { task, options } of plan.handlers.values()) {
    if (specOf(task).queue !== queue) continue
    total += options.concurrency ?? Infinity
    limited ||= options.concurrency !== undefined
  }
  return { total, limited }
}

/** Smooth weighted round-robin: shares follow the weights, and turns are spread rather than bunched. */
function nextByWeight<L extends { weight: number; turn: number }>(lanes: readonly L[]): L | undefined {
  let best: L | undefined
  let total = 0
  for (const lane of lanes) {
    lane.turn += lane.weight
    total += lane.weight
    if (!best || lane.turn > best.turn) best = lane
  }
  if (best) best.turn -= total
  return best
}
