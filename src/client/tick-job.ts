// What each tick of a schedule enqueues, when it is a task with an input that is known beforehand: validated and encoded once.
import { encode } from '../core/codec.js'
import { ConfigurationError, ValidationError } from '../core/errors.js'
import { checkKey } from '../core/name.js'
import type { PlainRule, TickJob } from '../core/schedule.js'
import { check, validationError, type Checked } from '../core/schema.js'
import { specOf, uniqueClaim, type Task, type TaskSpec } from '../core/task.js'
import { callerFunction } from './enqueue.js'

/** The input must fit now, and the schema must say so at once. @throws ValidationError, PayloadTooLargeError, ConfigurationError */
export function fixedJobNow(name: string, rule: PlainRule, task: Task, input: unknown): TickJob {
  const checked = check(specOf(task).input, input)
  if (checked instanceof Promise) {
    checked.catch(() => {})
    throw new ValidationError(
      `Schedule "${name}": the input schema of task "${task.name}" is asynchronous, which a definition cannot wait for. Use a synchronous schema, or give the input as a function: () => input.`,
    )
  }
  return jobFor(name, rule, task, input, checked)
}

/** The same, with the time that an asynchronous schema takes. */
export async function fixedJob(name: string, rule: PlainRule, task: Task, input: unknown): Promise<TickJob> {
  return jobFor(name, rule, task, input, await check(specOf(task).input, input))
}

function jobFor(name: string, rule: PlainRule, task: Task, input: unknown, checked: Checked): TickJob {
  const what = `Input of schedule "${name}" for task "${task.name}"`
  if ('issues' in checked) throw validationError(what, checked.issues)
  const spec = specOf(task)
  const { unique: keyOf, group: groupOf } = spec
  checkOverlap(name, rule, task)
  const group = groupOf && callerFunction(task, 'group', () => groupOf(input))
  return {
    ...jobOfSpec(task, spec),
    body: encode(input, what),
    ...(keyOf && { unique: uniqueClaim(callerFunction(task, 'unique', () => keyOf(input))) }),
    ...(group !== undefined && { group: checkKey('The group', group) }),
  }
}

/** Two claims cannot be on one job. @throws ConfigurationError */
export function checkOverlap(name: string, rule: PlainRule, task: Task): void {
  if (rule.overlap === 'skip' && specOf(task).unique)
    throw new ConfigurationError(
      `Schedule "${name}": task "${task.name}" has unique keys of its own, and overlap: 'skip' would take their place. Leave out one of them.`,
    )
}

/** The parts that come from the task. */
export function jobOfSpec(task: Task, spec: TaskSpec): TickJob {
  return {
    task: task.name,
    queue: spec.queue,
    priority: spec.priority,
    retention: spec.retention,
    ...(spec.expires !== undefined && { expires: spec.expires }),
  }
}
