// Some products take a job away from a handler that runs for long; a task that may run for longer is refused before it does.
import { formatDuration } from '../core/duration.js'
import { ConfigurationError } from '../core/errors.js'
import { specOf, type Task } from '../core/task.js'
import type { Driver } from '../driver/driver.js'

/** @throws ConfigurationError for a task whose attempts may last longer than the driver lets them */
export function checkTimeouts({ name, traits }: Pick<Driver<any>, 'name' | 'traits'>, tasks: readonly Task[]): void {
  const { longestRun } = traits
  if (longestRun === undefined) return
  for (const task of tasks) {
    const { timeout } = specOf(task)
    if (timeout !== false && timeout <= longestRun) continue
    const [own, most] = [
      timeout === false ? 'no timeout' : `a timeout of ${formatDuration(timeout)}`,
      formatDuration(longestRun),
    ]
    throw new ConfigurationError(
      `Task "${task.name}" has ${own}, but the ${name} driver takes a job away from a handler that runs for longer than ${most}. ` +
        `Give the task a timeout of at most ${most} and split longer work into several jobs, or raise the limit of the product.`,
    )
  }
}
