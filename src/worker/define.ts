// `handle` and `defineWorker`: binding functions to tasks, and bundling handlers into a worker.
import { ConfigurationError, shown } from '../core/errors.js'
import type { ScheduleDeclaration } from '../core/schedule.js'
import { queueName, refuseUnknown, specOf, type Task } from '../core/task.js'
import type {
  Awaitable,
  BoundHandler,
  Context,
  Handler,
  HandlerOptions,
  Nested,
  WorkerDefinition,
  WorkerOptions,
} from './types.js'

/**
 * Bind the function that does a task's work. It receives the parsed input and returns what the task's output schema takes.
 * @throws ConfigurationError for what is no task or function, or an option that is not allowed.
 */
export function handle<Send, Input, Return, Output>(
  task: Task<Send, Input, Return, Output>,
  fn: (input: Input, ctx: Context) => Awaitable<NoInfer<Return>>,
  o: HandlerOptions = {},
): Handler<Send, Output> {
  specOf(task)
  if (typeof fn !== 'function')
    throw new ConfigurationError(`handle("${task.name}"): the handler is a ${typeof fn}, not a function.`)
  checkHandlerOptions(`handle("${task.name}")`, o)
  return { kind: 'handler', '~bound': { task, fn, options: o } }
}

/** @throws ConfigurationError for an option that is not allowed */
export function checkHandlerOptions(where: string, o: HandlerOptions): void {
  refuseUnknown(where, o, ['concurrency', 'onDead'])
  if (o.concurrency !== undefined) checkCount(`${where}: concurrency`, o.concurrency)
}

/** Bundle handlers. A function runs once per process: open database handles in it and close them in `onStop`. */
export function defineWorker(options: WorkerOptions | (() => Awaitable<WorkerOptions>)): WorkerDefinition {
  const make = typeof options === 'function' ? options : () => options
  return { kind: 'worker', '~make': make }
}

/** A worker's options, checked, with their defaults. */
export interface WorkerPlan {
  readonly handlers: ReadonlyMap<string, BoundHandler>
  readonly schedules: readonly ScheduleDeclaration[]
  readonly concurrency: number
  readonly queues: readonly { readonly name: string; readonly concurrency: number; readonly weight: number }[]
  readonly middleware: NonNullable<WorkerOptions['middleware']>
  readonly onStop: (() => Awaitable<void>) | undefined
}

const DEFAULT_CONCURRENCY = 10
const KNOWN = ['handlers', 'concurrency', 'queues', 'middleware', 'onStop']

/** The tasks that somebody may enqueue. */
export function tasksOf(plan: WorkerPlan): readonly Task[] {
  return [...plan.handlers.values()].filter((bound) => !bound.internal).map(({ task }) => task)
}

/** @throws ConfigurationError for what is no worker, and for options that contradict each other. */
export async function planOf(
  worker: WorkerDefinition | WorkerOptions,
  only: { queues?: readonly string[] | undefined; concurrency?: number | undefined },
): Promise<WorkerPlan> {
  const options = await optionsOf(worker)
  try {
    return checked(options, only)
  } catch (error) {
    await options.onStop?.() // what the worker's function has opened
    throw error
  }
}

function checked(
  options: WorkerOptions,
  only: { queues?: readonly string[] | undefined; concurrency?: number | undefined },
): WorkerPlan {
  const { handlers, schedules } = handlersOf(options)
  const concurrency = checkCount('concurrency', only.concurrency ?? options.concurrency ?? DEFAULT_CONCURRENCY)
  const middleware = options.middleware ?? []
  if (!Array.isArray(middleware) || middleware.some((one) => typeof one !== 'function'))
    throw new ConfigurationError('middleware: give an array of functions (ctx, next) => …')
  if (options.onStop !== undefined && typeof options.onStop !== 'function')
    throw new ConfigurationError(`onStop: ${shown(options.onStop)} is no function.`)
  return {
    handlers,
    schedules,
    concurrency,
    queues: queuesOf(options, handlers, concurrency, only.queues),
    middleware,
    onStop: options.onStop,
  }
}

async function optionsOf(worker: unknown): Promise<WorkerOptions> {
  const given = worker as (Partial<WorkerDefinition> & Partial<WorkerOptions>) | null | undefined
  const options = given?.kind === 'worker' ? await given['~make']?.() : given
  if (typeof options !== 'object' || options === null || options.handlers === undefined)
    throw new ConfigurationError(
      'This is no worker. Give defineWorker({ handlers: [...] }), or an object with `handlers`.',
    )
  refuseUnknown('The worker', options, KNOWN)
  return options as WorkerOptions
}

function handlersOf(options: WorkerOptions): Pick<WorkerPlan, 'handlers' | 'schedules'> {
  const byTask = new Map<string, BoundHandler>()
  const schedules = new Map<string, ScheduleDeclaration>()
  for (const handler of flatten(options.handlers)) {
    const { '~bound': bound, '~schedule': schedule } = handler?.kind === 'handler' ? handler : ({} as Partial<Handler>)
    if (bound === undefined && schedule === undefined)
      throw new ConfigurationError(
        `handlers: ${shown(handler)} is no handler. Make it with handle(task, fn), on(event, …) or schedule(name, …).`,
      )
    if (schedule) {
      if (schedules.has(schedule.name))
        throw new ConfigurationError(
          `handlers: schedule "${schedule.name}" is there twice. Each schedule has a name of its own.`,
        )
      schedules.set(schedule.name, schedule)
    }
    if (bound) addBound(byTask, bound)
  }
  if (byTask.size === 0 && schedules.size === 0)
    throw new ConfigurationError('handlers: there are none, so this worker would do nothing.')
  return { handlers: byTask, schedules: [...schedules.values()] }
}

function addBound(byTask: Map<string, BoundHandler>, bound: BoundHandler): void {
  const there = byTask.get(bound.task.name)
  if (there && bound.subscription && there.subscription) {
    const [first, second] = [there.subscription, bound.subscription].map(({ patterns }) => patterns.join(', '))
    throw new ConfigurationError(
      `handlers: subscription "${bound.subscription.name}" is there twice, for "${first}" and for "${second}". Each subscription has a name of its own.`,
    )
  }
  if (there)
    throw new ConfigurationError(
      `handlers: task "${bound.task.name}" has two handlers. A task is handled by one function.`,
    )
  byTask.set(bound.task.name, bound)
}

function queuesOf(
  options: WorkerOptions,
  handlers: ReadonlyMap<string, BoundHandler>,
  concurrency: number,
  only: readonly string[] | undefined,
): WorkerPlan['queues'] {
  const names = new Set<string>()
  for (const { task } of handlers.values()) names.add(specOf(task).queue)
  if (only?.length === 0) throw new ConfigurationError('queues: the list is empty, so this worker would do nothing.')
  const known = `Its tasks use: ${[...names].join(', ')}.`
  for (const name of [...Object.keys(options.queues ?? {}), ...(only ?? [])])
    if (!names.has(name))
      throw new ConfigurationError(`queues: no handler of this worker reads queue "${name}". ${known}`)
  return [...names]
    .filter((name) => only === undefined || only.includes(name))
    .map((name) => {
      const own = options.queues?.[name] ?? {}
      refuseUnknown(`queues.${queueName(name)}`, own, ['concurrency', 'weight'])
      return {
        name,
        concurrency: Math.min(concurrency, checkCount(`queues.${name}.concurrency`, own.concurrency ?? concurrency)),
        weight: checkCount(`queues.${name}.weight`, own.weight ?? 1),
      }
    })
}

function flatten(handlers: Nested<Handler>): Handler[] {
  return Array.isArray(handlers)
    ? handlers.flatMap((inner) => flatten(inner as Nested<Handler>))
    : [handlers as Handler]
}

function checkCount(option: string, n: number): number {
  if (Number.isInteger(n) && n >= 1 && n <= 10_000) return n
  throw new ConfigurationError(`${option}: ${n} is no whole number from 1 to 10000.`)
}
