// Which tasks the workers of a store know: written by each worker, read by tools that have no code of the tasks.
import type { State } from '../driver/driver.js'

/** Entries of `State` under this prefix, followed by a task's name, say what its workers declared. */
export const TASK_PREFIX = 'task/'

/** A task as its workers declared it. Times in milliseconds. */
export interface TaskInfo {
  readonly name: string
  readonly queue: string
  readonly priority: number
  /** Of one attempt; `false`: none. Workers of older versions do not tell. */
  readonly timeout?: number | false
  readonly expires?: number
  readonly retention: { readonly completed?: number; readonly dead?: number }
  readonly takesInput: boolean
  /** JSON Schema (2020-12) of the input, where its library can tell. */
  readonly inputSchema?: Record<string, unknown>
  /** JSON Schema (2020-12) of what its handler returns, where its library can tell. Workers of older versions do not. */
  readonly outputSchema?: Record<string, unknown>
  /** The task makes unique keys or groups with functions, which only its code can run. */
  readonly needsCode: boolean
}

export async function readTasks(state: State): Promise<readonly TaskInfo[]> {
  return (await state.list({ prefix: TASK_PREFIX })).map((entry) => JSON.parse(entry.value) as TaskInfo)
}
