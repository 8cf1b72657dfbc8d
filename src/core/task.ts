// Tasks and queues: the contract between who enqueues and who works. Pure, so that a web bundle may import it.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { LONGEST_TIMER, toMs, type Duration } from './duration.js'
import type { UniqueClaim } from './envelope.js'
import { ConfigurationError, ValidationError, shown, withArticle } from './errors.js'
import { DEFAULT_PRIORITY, type Priority } from './job.js'
import { checkKey, checkName } from './name.js'
import { retryPolicy, type Retry, type RetryPolicy } from './retry.js'
import type { Wire } from './wire.js'

/**
 * A named, typed kind of work. `Send` and `Return` are what travels (JSON); `Input` and `Output` what the receiver's
 * schema made of it.
 */
export interface Task<Send = any, Input = any, Return = any, Output = any> {
  kind: 'task'
  name: string
  '~types'?: { send: Send; input: Input; return: Return; output: Output }
  /** The options with their defaults filled in; plain data and functions, so that two copies of the package agree. */
  '~spec'?: TaskSpec
}

/** A place where jobs wait. */
export interface Queue {
  kind: 'queue'
  name: string
}

/** At most one job per task and key: until it started, until it finished (default), or at least so long after enqueue. */
export type Unique = { key: string; until?: 'started' | 'finished' | Duration }

/** How long finished jobs are kept. Defaults: completed (and cancelled) 1 day, dead 30 days. */
export type Keep = { completed?: Duration; dead?: Duration }

/** Options of a task. A task without `input` takes nothing; without `output` it returns nothing. */
export interface TaskOptions<I extends StandardSchemaV1, O extends StandardSchemaV1> {
  /** Schema of what a caller sends; checked at enqueue and again before the handler. */
  input?: I & Wire<StandardSchemaV1.InferInput<I>>
  /** Schema of what the handler returns. */
  output?: O & Wire<StandardSchemaV1.InferInput<O>>
  /** Where jobs wait; default `'default'`. */
  queue?: string | Queue
  /** 0 to 9, 9 first; default 4. */
  priority?: Priority
  /** Default: 10 attempts, `exponential('2s', { factor: 3, max: '1h' })`. `false`: one attempt. */
  retry?: Retry | false
  /** How long one attempt may run; default 10 minutes. `false`: no limit. */
  timeout?: Duration | false
  /** A job not finished so long after enqueue ends dead, reason `expired`; default never. */
  expires?: Duration
  /** Overrides the client's retention. */
  retention?: Keep
  /** The unique key of an input, seen as the caller sent it. */
  unique?: (input: StandardSchemaV1.InferInput<I>) => string | Unique
  /** The group (for example the tenant) of an input. */
  group?: (input: StandardSchemaV1.InferInput<I>) => string
}

/** Options of a task with every default filled in; times in milliseconds. */
export interface TaskSpec {
  readonly input: StandardSchemaV1 | undefined
  readonly output: StandardSchemaV1 | undefined
  readonly queue: string
  readonly priority: Priority
  readonly retry: RetryPolicy
  readonly timeout: number | false
  readonly expires: number | undefined
  readonly retention: { readonly completed?: number; readonly dead?: number }
  readonly unique: ((input: any) => string | Unique) | undefined
  readonly group: ((input: any) => string) | undefined
}

export const DEFAULT_QUEUE = 'default'
export const DEFAULT_TIMEOUT = 600_000

/**
 * Define a task: its name, schemas and defaults. Hold it in a file that both the callers and the workers import.
 * @throws ConfigurationError for a name or option that is not allowed.
 */
export function defineTask<
  I extends StandardSchemaV1 = StandardSchemaV1<void>,
  O extends StandardSchemaV1 = StandardSchemaV1<void>,
>(
  name: string,
  options: TaskOptions<I, O> = {},
): Task<
  StandardSchemaV1.InferInput<I>,
  StandardSchemaV1.InferOutput<I>,
  StandardSchemaV1.InferInput<O>,
  StandardSchemaV1.InferOutput<O>
> {
  checkName('The task name', name)
  if (RESERVED.test(name))
    throw new ConfigurationError(
      `The task name ${shown(name)} is not allowed: names that begin with "on:" or "schedule:" are those of subscriptions and schedules.`,
    )
  refuseUnknown(`defineTask("${name}")`, options, TASK_OPTIONS)
  try {
    return { kind: 'task', name, '~spec': makeSpec(options) }
  } catch (cause) {
    if (!(cause instanceof ConfigurationError)) throw cause
    throw new ConfigurationError(`defineTask("${name}"): ${cause.message}`, { cause })
  }
}

/** Define a queue to give to tasks; a plain name does as well. */
export function defineQueue(name: string): Queue {
  return { kind: 'queue', name: checkName('The queue name', name) }
}

/** The name of a queue given as a name or a definition. */
export function queueName(queue: string | Queue): string {
  return checkName('The queue name', typeof queue === 'string' ? queue : queue.name)
}

/** The filled-in options of a task; a bare `{ kind: 'task', name }` has the defaults. */
export function specOf(task: Task): TaskSpec {
  if (task?.kind !== 'task' || typeof task.name !== 'string')
    throw new ConfigurationError(
      `A task made by defineTask() is expected, not ${typeof task === 'string' ? `the text ${shown(task)}` : describe(task)}. Import the task, and check that its file exports it.`,
    )
  return task['~spec'] ?? makeSpec({})
}

/** A unique claim out of what a caller or a task gave. */
export function uniqueClaim(unique: string | Unique): UniqueClaim {
  if (typeof unique === 'object' && unique !== null) refuseUnknown('unique', unique, ['key', 'until'])
  if (unique === undefined || unique === null)
    throw new ValidationError(`The unique key ${unique} is not allowed. Give a text or \`{ key, until }\`.`)
  const { key, until = 'finished' } = typeof unique === 'string' ? { key: unique } : unique
  checkKey('The unique key', key)
  return { key, until: until === 'started' || until === 'finished' ? until : toMs(until, 'unique.until') }
}

/** Retention in milliseconds, of the parts that were given. */
export function keepMs(keep: Keep | undefined): { readonly completed?: number; readonly dead?: number } {
  if (keep !== undefined) refuseUnknown('retention', keep, ['completed', 'dead'])
  return {
    ...(keep?.completed !== undefined && { completed: toMs(keep.completed, 'retention.completed') }),
    ...(keep?.dead !== undefined && { dead: toMs(keep.dead, 'retention.dead') }),
  }
}

/** @throws ConfigurationError when `options` has a key that is not in `known`: a typing error would pass unseen. */
export function refuseUnknown(where: string, options: object, known: readonly string[]): void {
  const stray = Object.keys(options).find((key) => !known.includes(key))
  if (stray !== undefined)
    throw new ConfigurationError(`${where}: there is no option "${stray}". The options are: ${known.join(', ')}.`)
}

const RESERVED = /^(on|schedule):/

const TASK_OPTIONS = 'input output queue priority retry timeout expires retention unique group'.split(' ')

/** A task's options with their defaults. @throws ConfigurationError */
export function makeSpec(o: TaskOptions<any, any>): TaskSpec {
  return {
    input: asSchema(o.input, 'input'),
    output: asSchema(o.output, 'output'),
    queue: queueName(o.queue ?? DEFAULT_QUEUE),
    priority: checkPriority(o.priority ?? DEFAULT_PRIORITY),
    retry: asRetry(o.retry),
    timeout: o.timeout === false ? false : positive(toMs(o.timeout ?? DEFAULT_TIMEOUT, 'timeout')),
    expires: o.expires === undefined ? undefined : toMs(o.expires, 'expires'),
    retention: keepMs(o.retention),
    unique: asFunction(o.unique, 'unique'),
    group: asFunction(o.group, 'group'),
  }
}

/** @throws ConfigurationError unless `priority` is a whole number from 0 to 9. */
export function checkPriority(priority: number): Priority {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 9) return priority as Priority
  throw new ConfigurationError(`priority: ${priority} is no whole number from 0 (last) to 9 (first).`)
}

function positive(timeout: number): number {
  if (timeout > 0 && timeout <= LONGEST_TIMER) return timeout
  throw new ConfigurationError(`timeout: ${timeout} ms is not between 1 ms and 24 days; \`false\` means no timeout.`)
}

function asRetry(retry: Retry | false | undefined): RetryPolicy {
  const policy = retryPolicy(retry)
  if (retry) refuseUnknown('retry', retry, ['maxAttempts', 'backoff'])
  return policy
}

function asFunction<F>(fn: F, option: string): F {
  if (fn === undefined || typeof fn === 'function') return fn
  throw new ConfigurationError(`${option}: ${describe(fn)} is no function of the input.`)
}

/** @throws ConfigurationError for what is no Standard Schema */
export function asSchema(schema: unknown, option: string): StandardSchemaV1 | undefined {
  if (schema === undefined) return undefined
  const standard = (schema as { '~standard'?: { validate?: unknown } } | null)?.['~standard']
  if (typeof standard?.validate === 'function') return schema as StandardSchemaV1
  throw new ConfigurationError(
    `${option}: ${describe(schema)} is no Standard Schema. Use one of zod, valibot or arktype, or unchecked<T>().`,
  )
}

function describe(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : withArticle(typeof value)
}

/** What the handler of a task receives. */
export type InputOf<T extends Task> = T extends Task<any, infer X> ? X : never
/** What `result()` of a task resolves with. */
export type OutputOf<T extends Task> = T extends Task<any, any, any, infer X> ? X : never
