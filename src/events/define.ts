// `on` and `route`: durable subscribers of events.
import { createHash } from 'node:crypto'
import { storedId } from '../client/publish.js'
import { ConfigurationError, shown } from '../core/errors.js'
import {
  checkEvent,
  checkSubscriberName,
  subscriptionTask,
  type Event,
  type Message,
  type MessageOf,
} from '../core/event.js'
import { checkPattern, type EventPattern } from '../core/pattern.js'
import { makeSpec, queueName, refuseUnknown, specOf, type Task } from '../core/task.js'
import { checkHandlerOptions } from '../worker/define.js'
import type { Awaitable, BoundSubscription, Context, Handler, OwnOptions } from '../worker/types.js'
import { messageSchema } from './schema.js'

const OPTIONS = ['concurrency', 'onDead', 'queue', 'retry', 'timeout']

/**
 * Subscribe to an event, to several, or to all that a pattern means. The subscription is durable: from its first declaration
 * on it gets a copy of each such event, also while no worker runs, with retries, dead jobs and pause of its own. Its name is
 * what makes it the same subscription tomorrow. A copy's job id is `<event id>/<subscription>`.
 * @param subscription 1 to 80 letters, digits and `. _ : -`
 * @throws ConfigurationError for what is no event, pattern or function, or a name or option that is not allowed
 */
export function on<E extends Event>(
  event: E | readonly E[] | EventPattern<E>,
  subscription: string,
  fn: (event: MessageOf<E>, ctx: Context) => Awaitable<void>,
  o?: OwnOptions,
): Handler
export function on(
  pattern: string,
  subscription: string,
  fn: (event: Message, ctx: Context) => Awaitable<void>,
  o?: OwnOptions,
): Handler
export function on(
  what: string | Event | readonly Event[] | EventPattern<any>,
  subscription: string,
  fn: (event: any, ctx: Context) => Awaitable<void>,
  o: OwnOptions = {},
): Handler {
  checkSubscriberName('subscription', subscription)
  const where = `on(…, "${subscription}")`
  if (typeof fn !== 'function') throw new ConfigurationError(`${where}: the handler is a ${typeof fn}, not a function.`)
  return subscriber(where, { name: subscription, ...meantBy(what, where) }, fn, o)
}

/**
 * Let an event queue a task: for each event, a job of the task with the input that `map` makes of the message. It is a
 * subscription of its own, named `<event>:<task>`. The job's id is `<event id>/task/<task>`, so that none is queued twice.
 * @throws ConfigurationError for what is no event, task or function
 */
export function route<E extends Event, Send>(
  event: E,
  task: Task<Send>,
  map: (event: MessageOf<E>) => NoInfer<Send>,
): Handler {
  checkEvent(event)
  specOf(task)
  const where = `route("${event.name}", "${task.name}")`
  if (typeof map !== 'function') throw new ConfigurationError(`${where}: ${typeof map} is no function of the event.`)
  const subscription: BoundSubscription = {
    name: routeName(event.name, task.name),
    patterns: [event.name],
    events: [event],
    routesTo: task.name,
  }
  const enqueue = async (message: MessageOf<E>, ctx: Context) => {
    // Not cut out of the copy's id, for an event's own id may have slashes.
    const id = storedId(message.id, message.source)
    await ctx.enqueue<any, unknown>(task, map(message), { id: `${id}/task/${task.name}` })
  }
  return subscriber(where, subscription, enqueue, {})
}

function subscriber(
  where: string,
  subscription: BoundSubscription,
  fn: (event: any, ctx: Context) => unknown,
  o: OwnOptions,
): Handler {
  refuseUnknown(where, o, OPTIONS)
  const { queue, retry, timeout, ...options } = o
  checkHandlerOptions(where, options)
  const name = subscriptionTask(subscription.name)
  const spec = makeSpec({
    input: messageSchema(subscription.events),
    queue: queue === undefined ? name : queueName(queue),
    ...(retry !== undefined && { retry }),
    ...(timeout !== undefined && { timeout }),
  })
  const task: Task = { kind: 'task', name, '~spec': spec }
  return { kind: 'handler', '~bound': { task, fn, options, subscription, internal: true } }
}

function meantBy(
  what: string | Event | readonly Event[] | EventPattern<unknown>,
  where: string,
): Pick<BoundSubscription, 'patterns' | 'events'> {
  if (typeof what === 'string') return { patterns: [checkPattern(what)], events: [] }
  if (Array.isArray(what)) {
    const events = (what as readonly Event[]).map(checkEvent)
    if (events.length === 0) throw new ConfigurationError(`${where}: the list of events is empty.`)
    return { patterns: [...new Set(events.map(({ name }) => name))], events }
  }
  if (typeof what === 'object' && what !== null && 'pattern' in what)
    return { patterns: [checkPattern(what.pattern)], events: what['~among'] ?? [] }
  if ((what as Event | undefined)?.kind === 'event')
    return { patterns: [(what as Event).name], events: [what as Event] }
  throw new ConfigurationError(
    `${where}: ${shown(what)} is no event, list of events or pattern. Give an event made by defineEvent(), match("order.#", events), or a pattern.`,
  )
}

/** Readable where it fits, and always the same. */
function routeName(event: string, task: string): string {
  const name = `${event}:${task}`
  if (name.length <= 80) return name
  return `${name.slice(0, 67)}-${createHash('sha256').update(name).digest('hex').slice(0, 12)}`
}
