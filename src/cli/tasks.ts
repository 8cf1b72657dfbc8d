// Finding the task that a command names: in the store's catalogue, or in a worker file.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { Validator, type OutputUnit } from '@cfworker/json-schema'
import { readEvents } from '../client/event-catalogue.js'
import { readTasks, type TaskInfo } from '../client/catalogue.js'
import { partsOf } from '../connect.js'
import { defineEvent, type Event } from '../core/event.js'
import { unchecked } from '../core/schema.js'
import { defineTask, specOf, type Task } from '../core/task.js'
import type { Priority } from '../core/job.js'
import type { WorkerPlan } from '../worker/define.js'
import { UsageError } from './fail.js'
import { closest } from './flags.js'
import type { Client } from './target.js'

/** A task as the store knows it. `needsCode`: its unique keys or groups come from functions that only its file has. */
export interface KnownTask {
  readonly task: Task
  readonly needsCode: boolean
}

/** @throws UsageError when no worker has declared the task in this store */
export async function taskFromStore(client: Client, name: string, database: string): Promise<KnownTask> {
  const { state } = await partsOf(client).session.open()
  const known = await readTasks(state)
  const info = known.find((one) => one.name === name)
  if (info) return { task: taskOf(info), needsCode: info.needsCode }
  const names = known.map((one) => one.name)
  const there = names.length === 0 ? `${database} knows no tasks yet` : `${database} knows: ${names.join(', ')}`
  throw new UsageError(
    `There is no task "${name}". ${hint(name, names)}${there}. Run \`millrace setup worker.ts\` to make new tasks known, or give --file worker.ts.`,
  )
}

/** @throws UsageError when the worker has no handler for the task */
export function taskFromPlan(plan: WorkerPlan, name: string, file: string): Task {
  const bound = plan.handlers.get(name)
  if (bound) return bound.task
  const names = [...plan.handlers.keys()]
  throw new UsageError(
    `${file} has no handler for a task "${name}". ${hint(name, names)}It handles: ${names.join(', ')}.`,
  )
}

/** The same task, whose results come back as they are stored. */
export function withStoredResult(task: Task): Task {
  return { ...task, '~spec': { ...specOf(task), output: unchecked<unknown>() } }
}

function hint(name: string, names: readonly string[]): string {
  const meant = closest(name, names)
  return meant === undefined ? '' : `Did you mean "${meant}"? `
}

function taskOf(info: TaskInfo): Task {
  return defineTask<StandardSchemaV1<any>, StandardSchemaV1<any>>(info.name, {
    queue: info.queue,
    priority: info.priority as Priority,
    retention: info.retention,
    ...(info.expires !== undefined && { expires: info.expires }),
    ...(info.takesInput && { input: schemaOf(info.inputSchema, 'an input') }),
  })
}

/**
 * An event as the store knows it; one that no worker has told of takes any payload.
 * @param given a payload is given
 */
export async function eventFromStore(
  client: Client,
  name: string,
  given: boolean,
): Promise<{ readonly event: Event; readonly known: boolean }> {
  const { state } = await partsOf(client).session.open()
  const known = (await readEvents(state)).find((one) => one.name === name)
  const takesPayload = known?.takesPayload ?? given
  const event = takesPayload
    ? defineEvent(name, { payload: schemaOf(known?.payloadSchema, 'a payload') })
    : defineEvent(name)
  return { event, known: known !== undefined }
}

/** A schema that checks by a JSON Schema, and nothing where there is none. */
function schemaOf(schema: Record<string, unknown> | undefined, what: 'an input' | 'a payload'): StandardSchemaV1<any> {
  if (schema === undefined) return unchecked<any>()
  const validator = new Validator(schema, '2020-12', false)
  const validate = (value: unknown): StandardSchemaV1.Result<unknown> => {
    // A JSON Schema speaks of values only; no value at all is not one.
    if (value === undefined) return { issues: [{ message: `${what} is expected` }] }
    const { valid, errors } = validator.validate(value)
    return valid ? { value } : { issues: innermost(errors).map((unit) => issueOf(unit, value)) }
  }
  return { '~standard': { version: 1, vendor: 'millrace', validate } }
}

/** Without the errors that only say that something inside them is wrong. */
function innermost(errors: readonly OutputUnit[]): readonly OutputUnit[] {
  return errors.filter(
    (unit) =>
      unit.keyword !== 'false' && !errors.some((other) => other.keywordLocation.startsWith(`${unit.keywordLocation}/`)),
  )
}

function issueOf(unit: OutputUnit, root: unknown): StandardSchemaV1.Issue {
  const path: PropertyKey[] = []
  let value = root
  for (const part of unit.instanceLocation.split('/').slice(1)) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    path.push(Array.isArray(value) ? Number(key) : key)
    value = (value as Record<string, unknown> | undefined)?.[key]
  }
  return { path, message: unit.error.replace(/\.$/, '') }
}
