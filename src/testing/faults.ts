// Faults as data: what goes wrong, where, how often; and the plan that says at each call whether one strikes now.
import { toMs, type Duration } from '../core/duration.js'
import { ConfigurationError, shown } from '../core/errors.js'
import type { Event } from '../core/event.js'
import { refuseUnknown, type Task } from '../core/task.js'

/** A call at the seam: jobs or events are published, a job is handed to a worker, a suspect's start is written, one is settled. */
export type FaultPoint = 'publish' | 'delivery' | 'start' | 'ack' | 'retry' | 'dead' | 'release'

/**
 * One thing that goes wrong.
 *
 * - `'fail'`: the call rejects with BrokerUnavailableError, as in an outage; a settling verb is then repeated by the
 *   worker. At `delivery`: the job is given back unspent, and handed over again.
 * - `'crash'`: the worker that makes the call is gone, as after kill -9, and is started again at once. Nothing is written
 *   any more by the runs it had in hand; their jobs come back as suspects. As a handler cannot be killed alone, its signal
 *   aborts, and what it still enqueues is refused until its job is handed over again. A publish from outside a handler
 *   rejects as it does in an outage.
 * - `'duplicate'`: at `publish`, the jobs or events are sent twice. At `delivery`, the job is handed over once more after its
 *   handler has succeeded, because the ack got lost, once for each job: a handler that may not run twice is found out.
 * - `{ delay }`: the call takes so much longer, in real time.
 */
export type Fault = {
  at: FaultPoint
  do: 'fail' | 'crash' | 'duplicate' | { delay: Duration }
  /**
   * Before the driver has done what it was asked for, or after; default `'before'`. A delivery has no after, and a
   * duplicate neither.
   */
  when?: 'before' | 'after'
  /** Only for jobs of this task; default any. */
  task?: string | Task
  /** Only for publishing this event; default any. */
  event?: string | Event
  /** How often it strikes; default once. `Infinity`: always. */
  times?: number
}

/** @internal What strikes a call. */
export type Strike = { readonly kind: 'fail' | 'crash' | 'duplicate' } | { readonly kind: 'delay'; readonly ms: number }

/** @internal */
export interface FaultPlan {
  /** The first fault of the list that strikes here and now, which counts as struck. */
  strike(at: FaultPoint, when: Moment, names: readonly string[]): Strike | undefined
  /** Faults that have not struck as often as they should. */
  pending(): readonly Fault[]
}

/** @internal `again`: once more, for duplicates. */
export type Moment = 'before' | 'after' | 'again'

const SETTLING = ['fail', 'crash', 'delay']
const KINDS: Readonly<Record<FaultPoint, readonly string[]>> = {
  publish: [...SETTLING, 'duplicate'],
  delivery: [...SETTLING, 'duplicate'],
  start: SETTLING,
  ack: SETTLING,
  retry: SETTLING,
  dead: SETTLING,
  release: SETTLING,
}

/** @internal @throws ConfigurationError for a fault that makes no sense */
export function planFaults(faults: readonly Fault[]): FaultPlan {
  const planned = faults.map((fault, i) => plan(fault, `faults[${i}]`))
  return {
    strike(at, when, names) {
      const hit = planned.find(
        (one) =>
          one.left > 0 &&
          one.fault.at === at &&
          one.when === when &&
          (one.name === undefined || names.includes(one.name)),
      )
      if (!hit) return undefined
      hit.left -= 1
      return hit.strike
    },
    pending: () => planned.filter((one) => one.left > 0 && one.left !== Infinity).map((one) => one.fault),
  }
}

interface Planned {
  readonly fault: Fault
  readonly when: Moment
  readonly strike: Strike
  readonly name: string | undefined
  left: number
}

function plan(fault: Fault, where: string): Planned {
  refuseUnknown(where, fault, ['at', 'do', 'when', 'task', 'event', 'times'])
  const kinds = Object.hasOwn(KINDS, fault.at) ? KINDS[fault.at] : undefined
  if (kinds === undefined)
    throw new ConfigurationError(
      `${where}.at: there is no ${shown(fault.at)}. Choose one of ${Object.keys(KINDS).join(', ')}.`,
    )
  const strike = strikeOf(fault, where)
  if (!kinds.includes(strike.kind))
    throw new ConfigurationError(`${where}.do: "${fault.at}" cannot ${strike.kind}. It can ${kinds.join(', ')}.`)
  const { when = 'before', times = 1, task } = fault
  if (when !== 'before' && when !== 'after')
    throw new ConfigurationError(`${where}.when: ${shown(when)} is neither 'before' nor 'after'.`)
  if (fault.when !== undefined && (fault.at === 'delivery' || strike.kind === 'duplicate'))
    throw new ConfigurationError(`${where}.when: a delivery and a duplicate have no before and after. Leave it out.`)
  if (!(times === Infinity || (Number.isInteger(times) && times >= 1)))
    throw new ConfigurationError(`${where}.times: ${shown(times)} is no whole number of 1 or more, and not Infinity.`)
  const name = typeof task === 'object' && task?.kind === 'task' ? task.name : task
  if (name !== undefined && typeof name !== 'string')
    throw new ConfigurationError(`${where}.task: ${shown(task)} is neither a task nor the name of one.`)
  const event = eventOf(fault, where)
  if (event !== undefined && (fault.at !== 'publish' || name !== undefined))
    throw new ConfigurationError(
      `${where}.event: an event is published, and is no task. Give it with at: 'publish' and without task.`,
    )
  return {
    fault,
    when: strike.kind === 'duplicate' ? 'again' : when,
    strike,
    name: event === undefined ? name : eventMark(event),
    left: times,
  }
}

/** @internal What stands for an event's name among those of tasks. */
export const eventMark = (name: string): string => `event ${name}`

function eventOf({ event }: Fault, where: string): string | undefined {
  if (event === undefined || typeof event === 'string') return event
  if (event?.kind === 'event') return event.name
  throw new ConfigurationError(`${where}.event: ${shown(event)} is neither an event nor the name of one.`)
}

function strikeOf({ do: what }: Fault, where: string): Strike {
  if (what === 'fail' || what === 'crash' || what === 'duplicate') return { kind: what }
  if (typeof what !== 'object' || what === null || what.delay === undefined)
    throw new ConfigurationError(
      `${where}.do: ${shown(what)} is none of 'fail', 'crash', 'duplicate' and { delay: '1s' }.`,
    )
  refuseUnknown(`${where}.do`, what, ['delay'])
  return { kind: 'delay', ms: toMs(what.delay, `${where}.do.delay`) }
}
