// A task made of what the store knows of it, for tools that have no code of theirs.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { TaskInfo } from '../client/catalogue.js'
import type { Priority } from '../core/job.js'
import { unchecked } from '../core/schema.js'
import { defineTask, specOf, type Task } from '../core/task.js'
import { schemaOfJson } from './json-schema.js'

/** The task as its workers declared it. What only its code can do, it does not: `info.needsCode` says whether that matters. */
export function taskOf(info: TaskInfo): Task {
  return defineTask<StandardSchemaV1<any>, StandardSchemaV1<any>>(info.name, {
    queue: info.queue,
    priority: info.priority as Priority,
    retention: info.retention,
    ...(info.expires !== undefined && { expires: info.expires }),
    ...(info.takesInput && { input: schemaOfJson(info.inputSchema, 'an input') }),
  })
}

/** The same task, whose results come back as they are stored. */
export function withStoredResult(task: Task): Task {
  return { ...task, '~spec': { ...specOf(task), output: unchecked<unknown>() } }
}
