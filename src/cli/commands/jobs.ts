// millrace jobs list|show|retry|cancel|delete: by id, or all that a filter finds.
import type { Command } from 'commander'
import type { JobFilter } from '../../client/types.js'
import type { DeadReason } from '../../core/errors.js'
import { JOB_STATES, type JobState } from '../../core/job.js'
import { confirm, mustBeAskable } from '../confirm.js'
import { Failure, report, UsageError } from '../fail.js'
import { list, oneOf, pastTime, wholeNumber, type GlobalFlags } from '../flags.js'
import { JOB_COLUMNS, printJob, printTold } from '../jobs-view.js'
import { count, print, printJson, printTable, remark } from '../print.js'
import { withClient, type Client } from '../target.js'

interface Flags extends GlobalFlags {
  readonly task?: string
  readonly state?: string[]
  readonly queue?: string
  readonly error?: string
  readonly reason?: DeadReason
  readonly group?: string
  readonly since?: Date
  readonly limit?: number
  readonly cursor?: string
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly suspect?: boolean
  readonly follow?: boolean
}

const REASONS: readonly DeadReason[] = ['failed', 'crashed', 'invalid-input', 'invalid-output', 'no-handler', 'expired']
/** Most jobs that a page, or the preview of --dry-run, shows. */
const MAX_PAGE = 1000
const PREVIEW = 20

type Verb = 'retry' | 'cancel' | 'delete'

interface VerbFacts {
  readonly description: string
  readonly done: string
  /** Which jobs a filter means unless it names states. */
  readonly states: readonly JobState[]
  /** Which jobs an id may name. */
  readonly byId: readonly JobState[]
  readonly example: string
}

const VERBS: Readonly<Record<Verb, VerbFacts>> = {
  retry: {
    description: 'Run dead jobs again with fresh attempts. With --state scheduled: run waiting jobs now.',
    done: 'retried',
    states: ['dead'],
    byId: ['dead', 'scheduled'],
    example: '--task mail.send --error ECONNREFUSED --since 2h',
  },
  cancel: {
    description: 'Waiting jobs never run; running ones get their signal, and end when their handler does.',
    done: 'cancelled',
    states: ['scheduled', 'ready', 'active'],
    byId: ['scheduled', 'ready', 'active'],
    example: '--group tenant-7 --dry-run',
  },
  delete: {
    description: 'Remove jobs for good: finished ones, unless --state names others. Running jobs stay.',
    done: 'deleted',
    states: ['completed', 'dead', 'cancelled'],
    byId: ['scheduled', 'ready', 'completed', 'dead', 'cancelled'],
    example: '--state dead --since 7d --yes',
  },
}

export function addJobs(program: Command): void {
  const jobs = program
    .command('jobs')
    .description('List, show, retry, cancel and delete jobs.')
    .addHelpText('after', '\nExamples:\n  $ millrace jobs list --state dead\n  $ millrace jobs retry --task mail.send')
  withFilter(jobs.command('list').alias('ls'))
    .description('Jobs, newest first.')
    .option('--limit <n>', 'jobs on a page (default: 50)', wholeNumber('--limit', 1, MAX_PAGE))
    .option('--cursor <cursor>', 'go on where a page ended')
    .addHelpText(
      'after',
      '\nExamples:\n  $ millrace jobs list --state dead --since 2h\n  $ millrace jobs ls --json | jq .id',
    )
    .action((_own: Flags, command: Command) => listJobs(command.optsWithGlobals<Flags>()))
  jobs
    .command('show')
    .description('Everything about one job: input, output, errors with their stacks, what its handler logged.')
    .argument('<id>', 'id of the job')
    .option(
      '--follow',
      'print what happens to it, until it has finished: exit 0 when completed, 1 when dead or cancelled',
    )
    .addHelpText(
      'after',
      `
With --follow --json: one object on a line, of "kind" state, progress or line.

Examples:
  $ millrace jobs show 0198c0de-0000-7000-8000-000000000000
  $ millrace jobs show 0198c0de-0000-7000-8000-000000000000 --follow`,
    )
    .action((id: string, _own: Flags, command: Command) => showJob(id, command.optsWithGlobals<Flags>()))
  for (const verb of Object.keys(VERBS) as Verb[]) {
    const { description, example, done } = VERBS[verb]
    withFilter(jobs.command(verb))
      .description(description)
      .argument('[ids...]', 'ids of jobs; or say which with the filter')
      .option('--limit <n>', 'at most so many jobs', wholeNumber('--limit', 1))
      .option('--dry-run', `only say which jobs would be ${done}`)
      .option('--yes', 'do not ask')
      .addHelpText('after', `\nExamples:\n  $ millrace jobs ${verb} ID ID\n  $ millrace jobs ${verb} ${example}`)
      .action((ids: string[], _own: Flags, command: Command) => move(verb, ids, command.optsWithGlobals<Flags>()))
  }
}

function withFilter(command: Command): Command {
  return command
    .option('--task <name>', 'of this task')
    .option('--state <states>', `in these states: ${JOB_STATES.join(', ')}`, list('--state'))
    .option('--queue <name>', 'in this queue')
    .option('--error <text>', 'whose last error contains this text')
    .option('--reason <reason>', `dead for this reason: ${REASONS.join(', ')}`, (text) =>
      oneOf('--reason', REASONS, text),
    )
    .option('--group <name>', 'of this group')
    .option('--suspect', 'that wait after a worker died with them in hand')
    .option('--since <time>', 'enqueued since then: 2h, 7d, or a date', pastTime('--since'))
}

/** @throws UsageError for a state that is none */
function filterOf(flags: Flags): JobFilter {
  const { task, queue, error, reason, group, since, suspect } = flags
  const states = flags.state?.map((text) => {
    if (text === 'retrying')
      throw new UsageError('--state: jobs that wait for another attempt are "scheduled"; the list shows them apart.')
    return oneOf('--state', JOB_STATES, text)
  })
  return {
    ...(task !== undefined && { task }),
    ...(states !== undefined && { states }),
    ...(queue !== undefined && { queue }),
    ...(error !== undefined && { error }),
    ...(reason !== undefined && { reason }),
    ...(group !== undefined && { group }),
    ...(since !== undefined && { since }),
    ...(suspect && { suspect }),
  }
}

async function listJobs(flags: Flags): Promise<void> {
  const filter = filterOf(flags)
  const { limit, cursor } = flags
  const { remembers } = await import('../tasks.js')
  const { page, onlyDead } = await withClient(flags, { create: false }, async (client) => {
    const isBare = filter.states === undefined && !(await remembers(client))
    const which = { ...filter, ...(isBare && { states: ['dead' as const] }) }
    return {
      page: await client.jobs.list({
        ...which,
        ...(limit !== undefined && { limit }),
        ...(cursor !== undefined && { cursor }),
      }),
      onlyDead: isBare,
    }
  })
  if (onlyDead) remark('note: this broker has no store, so only jobs that are dead can be listed.')
  if (flags.json) page.jobs.forEach((job) => printJson(job))
  else if (page.jobs.length > 0) printTable(JOB_COLUMNS, page.jobs)
  else if (onlyDead) remark(Object.keys(filter).length === 0 ? 'No job is dead.' : 'No dead job matches.')
  else remark(Object.keys(filter).length === 0 ? 'There are no jobs.' : 'No job matches.')
  if (page.cursor !== undefined) remark(`There may be more: go on with --cursor ${page.cursor}`)
}

async function showJob(id: string, flags: Flags): Promise<void> {
  if (flags.follow) return followJob(id, flags)
  const [{ JobNotFoundError }, { linesOf }] = await Promise.all([
    import('../../core/errors.js'),
    import('../follow.js'),
  ])
  const { job, log } = await withClient(flags, { create: false }, async (client) => {
    const found = await client.jobs.get(id)
    if (!found) throw new JobNotFoundError(id)
    return { job: found, log: await linesOf(client, id) }
  })
  if (flags.json) printJson({ ...job, log })
  else printJob(job, log)
}

async function followJob(id: string, flags: Flags): Promise<void> {
  const { follow } = await import('../follow.js')
  await withClient(flags, { create: false }, async (client) => {
    const told = follow(client, id)
    let next = await told.next()
    for (; !next.done; next = await told.next()) {
      if (!flags.json) printTold(next.value)
      else if (next.value.kind === 'state') printJson({ kind: 'state', at: next.value.at, ...next.value.job })
      else printJson(next.value)
    }
    if (next.value !== 'completed') process.exitCode = 1
  })
}

async function move(verb: Verb, ids: readonly string[], flags: Flags): Promise<void> {
  const filter = filterOf(flags)
  const filtered = Object.keys(filter).length > 0
  if (ids.length > 0 && filtered) throw new UsageError('Give ids of jobs, or a filter, not both.')
  if (ids.length === 0 && !filtered)
    throw new UsageError(`Which jobs? Give their ids, or a filter such as --task, --state or --since.`)
  const { states, byId, done } = VERBS[verb]
  const mustAsk = !flags.dryRun && (filtered || verb === 'delete')
  if (mustAsk) mustBeAskable(`${verb} jobs`, flags.yes)
  const which = filtered ? { states, ...filter } : { ids, states: byId }
  await withClient(flags, { create: false }, async (client) => {
    const found = mustAsk || flags.dryRun ? await countJobs(client, which, flags.limit) : 0
    if (flags.dryRun) return preview(client, which, found, done, flags)
    if (mustAsk && found > 0) await confirm(`${capital(verb)} ${count(found, 'job')}?`, flags.yes)
    const moved = filtered
      ? await client.jobs[verb]({ ...which, ...(flags.limit !== undefined && { limit: flags.limit }) })
      : await moveEach(client, verb, ids, flags)
    if (flags.json) printJson({ count: moved })
    else if (moved > 0 || filtered) print(`${capital(done)} ${count(moved, 'job')}.`)
  })
}

async function countJobs(client: Client, which: JobFilter, limit = Infinity): Promise<number> {
  const [{ partsOf }, { queryOf }] = await Promise.all([import('../../connect.js'), import('../../client/jobs.js')])
  const { jobs } = await partsOf(client).session.open()
  return Math.min(limit, await jobs.count(queryOf(which)))
}

async function preview(client: Client, which: JobFilter, found: number, done: string, flags: Flags): Promise<void> {
  if (flags.json) return printJson({ count: found, dryRun: true })
  if (found > 0) printTable(JOB_COLUMNS, (await client.jobs.list({ ...which, limit: Math.min(found, PREVIEW) })).jobs)
  const more = found > PREVIEW ? ` The first ${PREVIEW} are shown.` : ''
  remark(`${count(found, 'job')} would be ${done}; nothing was done.${more}`)
}

/** Each id on its own: one that cannot be moved is told, and the others go on. */
async function moveEach(client: Client, verb: Verb, ids: readonly string[], flags: Flags): Promise<number> {
  let moved = 0
  for (const id of new Set(ids)) {
    try {
      const done = await client.jobs[verb](id)
      if (done === 0) throw new Failure(await whyNot(client, verb, id))
      moved += done
    } catch (error) {
      report(error, flags.verbose ?? false)
      process.exitCode = 1
    }
  }
  return moved
}

async function whyNot(client: Client, verb: Verb, id: string): Promise<string> {
  const job = await client.jobs.get(id)
  const { byId, done } = VERBS[verb]
  if (job?.cancelling && verb === 'cancel') return `Job ${id} was told to stop before; it ends when its handler does.`
  const state = job === undefined ? 'gone' : job.state
  return `Job ${id} is ${state}, so it was not ${done}. Only these can be: ${byId.join(', ')}.`
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
