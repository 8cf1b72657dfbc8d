// millrace workers list: who works, how it is, and what it runs for how long.
import type { Command } from 'commander'
import type { JobInfo, WorkerStatus } from '../../client/types.js'
import { formatDuration } from '../../core/duration.js'
import type { GlobalFlags } from '../flags.js'
import { JOB_COLUMNS } from '../jobs-view.js'
import { print, printJson, printTable, relative, remark, type Column, type Style } from '../print.js'
import { withClient } from '../target.js'

export function addWorkers(program: Command): void {
  const workers = program
    .command('workers')
    .description('See who works, and what on.')
    .addHelpText('after', '\nExample:\n  $ millrace workers list')
  workers
    .command('list')
    .alias('ls')
    .description('Every worker, the jobs they run, longest first, and the suspects that wait.')
    .addHelpText(
      'after',
      `
STATE: ok; busy (no slot is free); blocked (its event loop does not answer); stopping; silent (it does not beat).
With --json: one worker on a line, with its jobs.

Examples:
  $ millrace workers list --url sqlite:jobs.db
  $ millrace workers ls --json | jq 'select(.state != "ok")'`,
    )
    .action((_own: GlobalFlags, command: Command) => listWorkers(command.optsWithGlobals<GlobalFlags>()))
}

/** A job in a worker's hands. */
interface Run {
  readonly worker: WorkerStatus
  readonly job: WorkerStatus['jobs'][number]
}

async function listWorkers(flags: GlobalFlags): Promise<void> {
  const { workers, suspects } = await withClient(flags, { create: false }, async (client) => ({
    workers: await client.workers.list(),
    suspects: flags.json ? [] : (await client.jobs.list({ suspect: true })).jobs,
  }))
  if (flags.json) return workers.forEach((worker) => printJson(worker))
  if (workers.length === 0) remark('No worker runs. Start one: millrace work worker.ts')
  else printTable(WORKER_COLUMNS, workers)
  printRuns(workers)
  printSuspects(suspects)
}

function printRuns(workers: readonly WorkerStatus[]): void {
  const runs = workers
    .flatMap((worker) => worker.jobs.map((job): Run => ({ worker, job })))
    .sort((a, b) => a.job.since.getTime() - b.job.since.getTime())
  if (runs.length === 0) return
  print('')
  printTable(RUN_COLUMNS, runs)
  const hidden = workers.reduce((sum, { running, jobs }) => sum + Math.max(0, running - jobs.length), 0)
  if (hidden > 0) remark(`and ${hidden} more, which began later.`)
}

function printSuspects(suspects: readonly JobInfo[]): void {
  if (suspects.length === 0) return
  print('\nSuspects: a worker died with these in hand. They run again one at a time.')
  printTable(JOB_COLUMNS, suspects)
}

const STYLES: Readonly<Record<WorkerStatus['state'], Style | undefined>> = {
  ok: 'green',
  busy: 'cyan',
  blocked: 'red',
  stopping: 'yellow',
  silent: 'red',
}

const WORKER_COLUMNS: readonly Column<WorkerStatus>[] = [
  { title: 'WORKER', text: (worker) => worker.id, spare: 2 },
  { title: 'PID', text: (worker) => String(worker.pid), right: true },
  { title: 'HOST', text: (worker) => worker.host, spare: 1 },
  { title: 'STATE', text: stateOf, style: (worker) => (worker.abandoned > 0 ? 'red' : STYLES[worker.state]) },
  { title: 'SLOTS', text: (worker) => `${worker.running}/${worker.concurrency}`, right: true },
  {
    title: 'LOAD',
    text: (worker) => `${Math.round(worker.load * 100)} %`,
    style: (worker) => (worker.load > 0.9 ? 'yellow' : undefined),
    right: true,
  },
  {
    title: 'DELAY',
    text: (worker) => formatDuration(worker.loopDelayMs),
    style: (worker) => (worker.loopDelayMs > 200 ? 'yellow' : undefined),
    right: true,
  },
  { title: 'BEAT', text: (worker) => relative(worker.beatAt), right: true },
  { title: 'QUEUES', text: (worker) => worker.queues.join(',') },
]

function stateOf(worker: WorkerStatus): string {
  const { state, abandoned, blockedMs } = worker
  const since = state === 'blocked' ? blockedMs : state === 'silent' ? Date.now() - worker.beatAt.getTime() : undefined
  const text = since === undefined ? state : `${state} ${formatDuration(Math.max(0, since))}`
  return abandoned > 0 ? `${text}, ${abandoned} abandoned` : text
}

const RUN_COLUMNS: readonly Column<Run>[] = [
  { title: 'JOB', text: ({ job }) => job.id },
  { title: 'FOR', text: ({ job }) => formatDuration(Math.max(0, Date.now() - job.since.getTime())), right: true },
  { title: 'ATTEMPT', text: ({ job }) => String(job.attempt), right: true, spare: 2 },
  { title: 'PID', text: ({ worker }) => String(worker.pid), right: true },
  { title: 'HOST', text: ({ worker }) => worker.host, spare: 1 },
  {
    title: 'TASK',
    text: ({ job }) => (job.suspect ? `${job.name} (suspect)` : job.name),
    style: ({ job }) => (job.suspect ? 'yellow' : undefined),
  },
]
