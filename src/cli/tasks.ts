// Finding the task that a command names: in the store's catalogue, or in a worker file.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { readTasks } from '../client/catalogue.js'
import { readEvents } from '../client/event-catalogue.js'
import { partsOf } from '../connect.js'
import { defineEvent, type Event } from '../core/event.js'
import { unchecked } from '../core/schema.js'
import { DEFAULT_QUEUE, defineTask, type Task } from '../core/task.js'
import { schemaOfJson } from '../http/json-schema.js'
import { taskOf } from '../http/stored-task.js'
import type { WorkerPlan } from '../worker/define.js'
import { UsageError } from './fail.js'
import { closest } from './flags.js'
import type { Client } from './target.js'

/** A task as the store knows it. `needsCode`: its unique keys or groups come from functions that only its file has. */
export interface KnownTask {
  readonly task: Task
  readonly needsCode: boolean
  /** Where it waits for want of a better knowledge. */
  readonly assumedQueue?: string
}

/** Whether it can be asked for jobs that wait, run or are done: a broker without a store cannot. */
export async function remembers(client: Client): Promise<boolean> {
  return (await partsOf(client).session.open()).traits.remembers
}

/**
 * @param o what stands in for the store's knowledge on a broker without one: there the task is taken as it is given
 * @throws UsageError when no worker has declared the task in this store
 */
export async function taskFromStore(
  client: Client,
  name: string,
  database: string,
  o: { readonly queue?: string | undefined; readonly given: boolean },
): Promise<KnownTask> {
  const { state, traits } = await partsOf(client).session.open()
  if (!traits.remembers)
    return {
      task: taskAsGiven(name, o),
      needsCode: false,
      ...(o.queue === undefined && { assumedQueue: DEFAULT_QUEUE }),
    }
  if (o.queue !== undefined)
    throw new UsageError(`--queue is for brokers without a store; ${database} knows where each task waits.`)
  const known = await readTasks(state)
  const info = known.find((one) => one.name === name)
  if (info) return { task: taskOf(info), needsCode: info.needsCode }
  const names = known.map((one) => one.name)
  const there = names.length === 0 ? `${database} knows no tasks yet` : `${database} knows: ${names.join(', ')}`
  throw new UsageError(
    `There is no task "${name}". ${hint(name, names)}${there}. Run \`millrace setup worker.ts\` to make new tasks known, or give --file worker.ts.`,
  )
}

function taskAsGiven(name: string, { queue, given }: { queue?: string | undefined; given: boolean }): Task<any> {
  return defineTask<StandardSchemaV1<any>, StandardSchemaV1<any>>(name, {
    ...(queue !== undefined && { queue }),
    ...(given && { input: unchecked<any>() }),
  })
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

function hint(name: string, names: readonly string[]): string {
  const meant = closest(name, names)
  return meant === undefined ? '' : `Did you mean "${meant}"? `
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
  const known = (await readEvents(await partsOf(client).session.open())).find((one) => one.name === name)
  const takesPayload = known?.takesPayload ?? given
  const event = takesPayload
    ? defineEvent(name, { payload: schemaOfJson(known?.payloadSchema, 'a payload') })
    : defineEvent(name)
  return { event, known: known !== undefined }
}
