// Which tasks the workers of a store know: written by each worker, read by tools that have no code of the tasks.
import { jsonSchemaOf } from '../core/schema.js'
import { specOf, type Task } from '../core/task.js'
import type { State } from '../driver/driver.js'

const PREFIX = 'task/'

/** A task as its workers declared it. Times in milliseconds. */
export interface TaskInfo {
  readonly name: string
  readonly queue: string
  readonly priority: number
  readonly expires?: number
  readonly retention: { readonly completed?: number; readonly dead?: number }
  readonly takesInput: boolean
  /** JSON Schema (2020-12) of the input, where its library can tell. */
  readonly inputSchema?: Record<string, unknown>
  /** The task makes unique keys or groups with functions, which only its code can run. */
  readonly needsCode: boolean
}

function taskInfo(task: Task): TaskInfo {
  const spec = specOf(task)
  const inputSchema = jsonSchemaOf(spec.input)
  return {
    name: task.name,
    queue: spec.queue,
    priority: spec.priority,
    retention: spec.retention,
    takesInput: spec.input !== undefined,
    needsCode: spec.unique !== undefined || spec.group !== undefined,
    ...(spec.expires !== undefined && { expires: spec.expires }),
    ...(inputSchema !== undefined && { inputSchema }),
  }
}

/** Write what changed. */
export async function declareTasks(state: State, tasks: readonly Task[]): Promise<void> {
  const known = new Map((await state.list({ prefix: PREFIX })).map((entry) => [entry.key, entry.value]))
  for (const task of tasks) {
    const [key, value] = [PREFIX + task.name, JSON.stringify(taskInfo(task))]
    if (known.get(key) !== value) await state.set({ key, value })
  }
}

export async function readTasks(state: State): Promise<readonly TaskInfo[]> {
  return (await state.list({ prefix: PREFIX })).map((entry) => JSON.parse(entry.value) as TaskInfo)
}
