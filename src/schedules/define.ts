// `schedule`: binding a rule to a function, or to a task.
import { jobOfSpec, checkOverlap, fixedJobNow } from '../client/tick-job.js'
import { ConfigurationError, messageOf } from '../core/errors.js'
import { checkSubscriberName } from '../core/event.js'
import {
  RULE_OPTIONS,
  checkRule,
  overlapKey,
  scheduleTask,
  type PlainRule,
  type Rule,
  type ScheduleDeclaration,
  type Tick,
} from '../core/schedule.js'
import { makeSpec, queueName, refuseUnknown, specOf, type Task } from '../core/task.js'
import { checkHandlerOptions } from '../worker/define.js'
import type { Awaitable, BoundHandler, Context, Handler, OwnOptions } from '../worker/types.js'
import { tickSchema } from './schema.js'

const OWN_OPTIONS = ['concurrency', 'onDead', 'queue', 'retry', 'timeout']

/**
 * Enqueue a job at each tick of a rule, and each tick once, however many workers declare the schedule. With a function, the
 * function is its handler. With a task, each tick enqueues the task: with no input, with this one, or with what a function
 * makes of the tick. The name is what makes it the same schedule tomorrow. A tick's job id is `schedule/<name>/<tick>`; the
 * job that an input function made has `/task` behind it.
 * @param name 1 to 80 letters, digits and `. _ : -`
 * @throws ConfigurationError for a rule, name or option that is not allowed; ValidationError for an input that does not fit
 */
export function schedule(
  name: string,
  rule: Rule & OwnOptions,
  fn: (tick: Tick, ctx: Context) => Awaitable<void>,
): Handler
export function schedule(name: string, rule: Rule, task: Task<void>): Handler
export function schedule<Send>(
  name: string,
  rule: Rule,
  task: Task<Send>,
  input: NoInfer<Send> | ((tick: Tick) => NoInfer<Send>),
): Handler
export function schedule(
  name: string,
  rule: Rule & OwnOptions,
  what: Task<any> | ((tick: Tick, ctx: Context) => Awaitable<void>),
  input?: unknown,
): Handler {
  checkSubscriberName('schedule', name)
  try {
    if (typeof what === 'function') return ofFunction(name, rule, what, {})
    const plain = checkRule(rule)
    if (typeof input === 'function') return ofInput(name, rule, plain, what, input as (tick: Tick) => unknown)
    return declared(name, { rule: plain, job: fixedJobNow(name, plain, what, input) })
  } catch (cause) {
    // Which of many schedules it is.
    if (!(cause instanceof ConfigurationError) || cause.message.includes(`"${name}"`)) throw cause
    throw new ConfigurationError(`schedule("${name}"): ${messageOf(cause)}`, { cause })
  }
}

function ofFunction(
  name: string,
  given: Rule & OwnOptions,
  fn: (tick: Tick, ctx: Context) => unknown,
  more: { readonly leadsTo?: string },
): Handler {
  if (typeof given !== 'object' || given === null) checkRule(given) // which says what a rule is
  refuseUnknown('The rule', given, [...RULE_OPTIONS, ...OWN_OPTIONS])
  const { concurrency, onDead, queue, retry, timeout, ...rule } = given
  const options = { ...(concurrency !== undefined && { concurrency }), ...(onDead !== undefined && { onDead }) }
  checkHandlerOptions(`schedule("${name}")`, options)
  const plain = checkRule(rule as Rule)
  const own = scheduleTask(name)
  const spec = makeSpec({
    input: tickSchema(plain),
    queue: queue === undefined ? own : queueName(queue),
    ...(retry !== undefined && { retry }),
    ...(timeout !== undefined && { timeout }),
  })
  const task: Task = { kind: 'task', name: own, '~spec': spec }
  return declared(
    name,
    { rule: plain, job: { ...jobOfSpec(task, spec), ...more } },
    { task, fn, options, internal: true },
  )
}

/** Only code can make the input, so the tick's job goes to a handler of its own, which enqueues the task. */
function ofInput(name: string, given: Rule, rule: PlainRule, task: Task, input: (tick: Tick) => unknown): Handler {
  specOf(task)
  checkOverlap(name, rule, task)
  const enqueue = async (tick: Tick, ctx: Context) => {
    await ctx.enqueue<any, unknown>(task, input(tick), {
      id: `${ctx.job.id}/task`,
      ...(rule.overlap === 'skip' && { unique: overlapKey(name) }),
    })
  }
  return ofFunction(name, given, enqueue, { leadsTo: task.name })
}

function declared(name: string, definition: ScheduleDeclaration['definition'], bound?: BoundHandler): Handler {
  return { kind: 'handler', '~schedule': { name, definition }, ...(bound && { '~bound': bound }) }
}
