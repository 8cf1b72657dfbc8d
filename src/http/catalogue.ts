// Which tasks and events a gateway knows: those of definitions in code, else those that the store's workers have declared.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { readTasks } from '../client/catalogue.js'
import { readEvents } from '../client/event-catalogue.js'
import type { Session } from '../client/session.js'
import { checkEvent, type Event } from '../core/event.js'
import { ConfigurationError } from '../core/errors.js'
import { jsonSchemaOf } from '../core/schema.js'
import { specOf, type Task } from '../core/task.js'
import { schemaOfJson } from './json-schema.js'
import { taskOf } from './stored-task.js'

type JsonSchema = Record<string, unknown>

/** A task that may be enqueued. */
export interface OfferedTask {
  readonly task: Task
  readonly takesInput: boolean
  /** Absent where the library of the schema cannot tell. */
  readonly inputSchema?: JsonSchema | undefined
  readonly outputSchema?: JsonSchema | undefined
  /** Its unique keys or groups are made by functions that are not here. */
  readonly needsCode: boolean
}

/** An event whose payload is known. */
export interface KnownEvent {
  readonly name: string
  /** Of the payload; `undefined`: it has none. */
  readonly schema: StandardSchemaV1 | undefined
  readonly jsonSchema?: JsonSchema | undefined
}

export interface Catalogue {
  task(name: string): Promise<OfferedTask | undefined>
  tasks(): Promise<readonly OfferedTask[]>
  event(name: string): Promise<KnownEvent | undefined>
  events(): Promise<readonly KnownEvent[]>
}

/** What the store says is asked for again after so many milliseconds, and for a name that is not known a little sooner. */
const FRESH = 5_000
const FRESH_ENOUGH_FOR_NO = 500

/** @throws ConfigurationError for what is no task or event, and for two of one name */
export function createCatalogue(
  session: Session<any>,
  o: { readonly tasks: readonly Task[] | undefined; readonly events: readonly Event[] | undefined },
): Catalogue {
  const tasks = o.tasks
    ? fixed(byName('tasks', o.tasks.map(offered), ({ task }) => task.name))
    : remembered(async () => {
        const { state } = await session.open()
        const infos = await readTasks(state)
        return new Map(infos.map((info) => [info.name, { ...info, task: taskOf(info) }]))
      })
  const events = o.events
    ? fixed(byName('events', o.events.map(known), ({ name }) => name))
    : remembered(async () => {
        const facts = await readEvents(await session.open())
        return new Map(
          facts.map(({ name, takesPayload, payloadSchema: jsonSchema }): [string, KnownEvent] => [
            name,
            { name, schema: takesPayload ? schemaOfJson(jsonSchema, 'a payload') : undefined, jsonSchema },
          ]),
        )
      })
  return { task: tasks.get, tasks: tasks.all, event: events.get, events: events.all }
}

function offered(task: Task): OfferedTask {
  const { input, output } = specOf(task)
  return {
    task,
    takesInput: input !== undefined,
    inputSchema: jsonSchemaOf(input),
    outputSchema: jsonSchemaOf(output),
    needsCode: false,
  }
}

function known(event: Event): KnownEvent {
  const { name, '~payload': schema } = checkEvent(event)
  return { name, schema, jsonSchema: jsonSchemaOf(schema) }
}

function byName<T>(option: string, all: readonly T[], nameOf: (one: T) => string): ReadonlyMap<string, T> {
  const map = new Map(all.map((one) => [nameOf(one), one]))
  if (map.size === all.length) return map
  const names = all.map(nameOf)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  throw new ConfigurationError(`${option}: "${twice}" is there twice.`)
}

interface Part<T> {
  get(name: string): Promise<T | undefined>
  all(): Promise<readonly T[]>
}

function fixed<T>(map: ReadonlyMap<string, T>): Part<T> {
  return { get: async (name) => map.get(name), all: async () => [...map.values()] }
}

function remembered<T>(read: () => Promise<ReadonlyMap<string, T>>): Part<T> {
  let last: { readonly map: ReadonlyMap<string, T>; readonly at: number } | undefined
  let reading: Promise<ReadonlyMap<string, T>> | undefined

  async function readNow(): Promise<ReadonlyMap<string, T>> {
    try {
      const map = await read()
      last = { map, at: performance.now() }
      return map
    } finally {
      reading = undefined
    }
  }
  function noOlderThan(maxAge: number): Promise<ReadonlyMap<string, T>> {
    if (last && performance.now() - last.at < maxAge) return Promise.resolve(last.map)
    return (reading ??= readNow())
  }

  return {
    async get(name) {
      return (await noOlderThan(FRESH)).get(name) ?? (await noOlderThan(FRESH_ENOUGH_FOR_NO)).get(name)
    },
    all: async () => [...(await noOlderThan(FRESH)).values()],
  }
}
