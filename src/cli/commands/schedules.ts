// millrace schedules list|trigger|pause|resume|remove.
import type { Command } from 'commander'
import type { ScheduleInfo } from '../../client/types.js'
import { formatDuration } from '../../core/duration.js'
import { confirm, mustBeAskable } from '../confirm.js'
import type { GlobalFlags } from '../flags.js'
import { print, printJson, printTable, relative, remark, type Column, type Style } from '../print.js'
import { withClient } from '../target.js'

interface RemoveFlags extends GlobalFlags {
  readonly yes?: boolean
}

export function addSchedules(program: Command): void {
  const schedules = program
    .command('schedules')
    .description('List, trigger, pause, resume and remove schedules.')
    .addHelpText('after', '\nExamples:\n  $ millrace schedules list\n  $ millrace schedules trigger nightly-report')
  schedules
    .command('list')
    .alias('ls')
    .description('Every schedule: when it ticks, what it enqueues, and its last and next tick.')
    .addHelpText(
      'after',
      `
STATE: ok; paused; undeclared (from code, and no live worker has it); done (it has made its only tick).

Examples:
  $ millrace schedules list --url sqlite:jobs.db
  $ millrace schedules ls --json | jq 'select(.live == false)'`,
    )
    .action((_own: GlobalFlags, command: Command) => listSchedules(command.optsWithGlobals<GlobalFlags>()))
  schedules
    .command('trigger')
    .description('Enqueue the job of a schedule now, beside its ticks. Prints the id of the job.')
    .argument('<name>', 'name of the schedule')
    .addHelpText('after', '\nExample:\n  $ millrace schedules trigger nightly-report')
    .action((name: string, _own: GlobalFlags, command: Command) =>
      trigger(name, command.optsWithGlobals<GlobalFlags>()),
    )
  schedules
    .command('pause')
    .description('No ticks from now on, also after restarts and deploys. Jobs that wait are run.')
    .argument('<name>', 'name of the schedule')
    .addHelpText('after', '\nExample:\n  $ millrace schedules pause nightly-report')
    .action((name: string, _own: GlobalFlags, command: Command) =>
      setPaused(name, true, command.optsWithGlobals<GlobalFlags>()),
    )
  schedules
    .command('resume')
    .description('Ticks again. Those of the pause are not made up for.')
    .argument('<name>', 'name of the schedule')
    .addHelpText('after', '\nExample:\n  $ millrace schedules resume nightly-report')
    .action((name: string, _own: GlobalFlags, command: Command) =>
      setPaused(name, false, command.optsWithGlobals<GlobalFlags>()),
    )
  schedules
    .command('remove')
    .description('Forget a schedule that was made at run time, or that is in no code any more. Jobs that wait stay.')
    .argument('<name>', 'name of the schedule')
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ millrace schedules remove nightly-report --yes')
    .action((name: string, _own: RemoveFlags, command: Command) => remove(name, command.optsWithGlobals<RemoveFlags>()))
}

async function listSchedules(flags: GlobalFlags): Promise<void> {
  const schedules = await withClient(flags, { create: false }, (client) => client.schedules.list())
  if (flags.json) return schedules.forEach((one) => printJson(one))
  if (schedules.length === 0) return remark('There are no schedules yet. A worker or `millrace setup` declares them.')
  printTable(COLUMNS, schedules)
}

type State = 'ok' | 'paused' | 'undeclared' | 'done'

function stateOf({ paused, live, next }: ScheduleInfo): State {
  if (next === undefined) return 'done'
  if (!live) return 'undeclared'
  return paused ? 'paused' : 'ok'
}

const STYLES: Readonly<Record<State, Style>> = { ok: 'green', paused: 'yellow', undeclared: 'red', done: 'dim' }

const COLUMNS: readonly Column<ScheduleInfo>[] = [
  { title: 'NAME', text: ({ name }) => name },
  { title: 'STATE', text: stateOf, style: (one) => STYLES[stateOf(one)] },
  { title: 'RULE', text: ruleOf },
  { title: 'NEXT', text: ({ next }) => (next ? relative(next) : '-'), right: true },
  { title: 'LAST', text: ({ previous }) => (previous ? relative(previous) : '-'), right: true, spare: 1 },
  { title: 'FROM', text: ({ from }) => from, spare: 2 },
  { title: 'TASK', text: ({ task }) => task },
]

function ruleOf({ cron, timezone, every, at }: ScheduleInfo): string {
  if (every !== undefined) return `every ${formatDuration(every)}`
  if (at !== undefined) return `at ${at.toISOString()}`
  return timezone === 'UTC' ? cron! : `${cron} ${timezone}`
}

async function trigger(name: string, flags: GlobalFlags): Promise<void> {
  const job = await withClient(flags, { create: false }, (client) => client.schedules.trigger(name))
  if (flags.json) return printJson({ name, ...job })
  print(job.id)
  if (job.duplicate) remark(`An earlier job of ${name} has not finished, so none was enqueued.`)
}

async function setPaused(name: string, paused: boolean, flags: GlobalFlags): Promise<void> {
  await withClient(flags, { create: false }, (client) =>
    paused ? client.schedules.pause(name) : client.schedules.resume(name),
  )
  if (flags.json) printJson({ name, paused })
  else print(paused ? `Paused ${name}.` : `Resumed ${name}.`)
}

async function remove(name: string, flags: RemoveFlags): Promise<void> {
  mustBeAskable(`remove schedule "${name}"`, flags.yes)
  await withClient(flags, { create: false }, async (client) => {
    await confirm(`Remove schedule "${name}" for good?`, flags.yes)
    await client.schedules.remove(name)
    if (flags.json) printJson({ name, removed: true })
    else print(`Removed ${name}.`)
  })
}
