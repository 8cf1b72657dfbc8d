// millrace enqueue TASK [JSON]: one job from the command line, checked like one from code.
import type { Command } from 'commander'
import type { Job } from '../../client/types.js'
import { hasCode, type BrokerUnavailableError } from '../../core/errors.js'
import type { Priority } from '../../core/job.js'
import type { Task } from '../../core/task.js'
import { Failure, UsageError } from '../fail.js'
import { duration, wholeNumber, type GlobalFlags } from '../flags.js'
import { jsonOf } from '../input.js'
import { loadWorker, withPlan, type LoadedWorker } from '../load.js'
import { print, printJson, remark } from '../print.js'
import { databaseOf, withClient, type Client } from '../target.js'

interface Flags extends GlobalFlags {
  readonly delay?: number
  readonly priority?: number
  readonly id?: string
  readonly unique?: string
  readonly file?: string
  readonly queue?: string
  readonly wait?: boolean
  readonly timeout?: number
}

export function addEnqueue(program: Command): void {
  program
    .command('enqueue')
    .description('Queue one job and print its id.')
    .argument('<task>', 'name of the task')
    .argument('[json]', 'its input; - reads it from standard input')
    .option('--delay <duration>', 'not before so long from now', duration('--delay'))
    .option('--priority <0-9>', "9 is first (default: the task's)", wholeNumber('--priority', 0, 9))
    .option('--id <id>', 'chosen by you: the same id again is the same job')
    .option('--unique <key>', 'at most one unfinished job of the task with this key')
    .option('--file <worker>', "use the task's own code in this worker file rather than what the store knows of it")
    .option('--queue <name>', 'where the task waits, on a broker without a store and without --file (default: default)')
    .option('--wait', 'wait for the job and print its result as JSON')
    .option('--timeout <duration>', 'how long to wait (default: 1m)', duration('--timeout'))
    .addHelpText(
      'after',
      `
The store knows the tasks of every worker that ran, or that \`millrace setup\` declared. A broker without a store knows
none: without --file the task is taken as you give it, its input unchecked, and it waits where --queue says.

Examples:
  $ millrace enqueue mail.send '{"to":"ada@example.com"}' --delay 5m
  $ cat report.json | millrace enqueue report.build - --wait --timeout 10m`,
    )
    .action((task: string, json: string | undefined, _own: Flags, command: Command) =>
      enqueue(task, json, command.optsWithGlobals<Flags>()),
    )
}

async function enqueue(name: string, json: string | undefined, flags: Flags): Promise<void> {
  if (flags.timeout !== undefined && !flags.wait) throw new UsageError('--timeout goes with --wait.')
  if (flags.queue !== undefined && flags.file !== undefined)
    throw new UsageError("--queue does not go with --file: the task's own code says where it waits.")
  const input = await jsonOf(json, 'input')
  const worker = flags.file === undefined ? undefined : await loadWorker(flags.file)
  const tasks = await import('../tasks.js')
  await withClient(flags, { create: false }, async (client) => {
    if (worker) return withTaskOf(worker, name, (task) => send(client, task, input, flags))
    const { task, needsCode, assumedQueue } = await tasks.taskFromStore(client, name, databaseOf(flags), {
      queue: flags.queue,
      given: input !== undefined,
    })
    if (needsCode) remark(`note: task "${name}" makes unique keys or groups in code; --file worker.ts applies them.`)
    if (assumedQueue !== undefined)
      remark(
        `note: this broker has no list of tasks, so the job waits in the queue "${assumedQueue}". Where its task says another, give --queue, or --file worker.ts.`,
      )
    await send(client, task, input, flags)
  })
}

async function withTaskOf(worker: LoadedWorker, name: string, use: (task: Task) => Promise<void>): Promise<void> {
  const { taskFromPlan } = await import('../tasks.js')
  await withPlan(worker, (plan) => use(taskFromPlan(plan, name, worker.file)))
}

async function send(client: Client, task: Task, input: unknown, flags: Flags): Promise<void> {
  const { delay, priority, id, unique } = flags
  const { withStoredResult } = await import('../../http/stored-task.js')
  const job: Job = await client
    .enqueue<any, unknown>(withStoredResult(task), input, {
      reply: flags.wait === true,
      ...(delay !== undefined && { delay }),
      ...(priority !== undefined && { priority: priority as Priority }),
      ...(id !== undefined && { id }),
      ...(unique !== undefined && { unique }),
    })
    .catch((error: unknown) => {
      throw withAdvice(error)
    })
  if (!flags.json && job.duplicate) remark(`duplicate: job ${job.id} stands`)
  if (!flags.wait) {
    if (flags.json) printJson({ id: job.id, duplicate: job.duplicate })
    else print(job.id)
    return
  }
  remark(job.id)
  const result = await resultOf(job, flags.timeout)
  if (flags.json) printJson({ id: job.id, duplicate: job.duplicate, result })
  else if (result !== undefined) printJson(result)
  else remark('The job is completed; it has no result.')
}

/** From here on the job exists: whatever goes wrong is no wrong use. */
async function resultOf(job: Job, timeout: number | undefined): Promise<unknown> {
  try {
    return await job.result(timeout === undefined ? {} : { timeout })
  } catch (error) {
    throw new Failure((error as Error).message, { cause: error })
  }
}

/** Nobody knows whether the job was kept: its id makes it safe to try again. */
function withAdvice(error: unknown): unknown {
  if (!hasCode(error, 'ERR_BROKER_UNAVAILABLE')) return error
  const { outcome, ids, message } = error as BrokerUnavailableError
  if (outcome === 'not-sent') return error
  return new Failure(`${message} The job may be queued; try again with --id ${ids[0]}, which is safe.`, {
    cause: error,
  })
}
