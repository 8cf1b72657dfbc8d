// Writes which tasks the workers of a store know.
import { TASK_PREFIX, type TaskInfo } from '../client/catalogue.js'
import { jsonSchemaOf } from '../core/schema.js'
import { specOf, type Task } from '../core/task.js'
import type { StatefulDriver } from '../driver/driver.js'

function taskInfo(task: Task): TaskInfo {
  const spec = specOf(task)
  const inputSchema = jsonSchemaOf(spec.input)
  const outputSchema = jsonSchemaOf(spec.output)
  return {
    name: task.name,
    queue: spec.queue,
    priority: spec.priority,
    timeout: spec.timeout,
    retention: spec.retention,
    takesInput: spec.input !== undefined,
    needsCode: spec.unique !== undefined || spec.group !== undefined,
    ...(spec.expires !== undefined && { expires: spec.expires }),
    ...(inputSchema !== undefined && { inputSchema }),
    ...(outputSchema !== undefined && { outputSchema }),
  }
}

/** Write what changed; nothing where it would not be remembered. */
export async function declareTasks(
  { state, traits }: Pick<StatefulDriver<any>, 'state' | 'traits'>,
  tasks: readonly Task[],
): Promise<void> {
  if (!traits.remembers) return
  const known = new Map((await state.list({ prefix: TASK_PREFIX })).map((entry) => [entry.key, entry.value]))
  for (const task of tasks) {
    const [key, value] = [TASK_PREFIX + task.name, JSON.stringify(taskInfo(task))]
    if (known.get(key) !== value) await state.set({ key, value })
  }
}
