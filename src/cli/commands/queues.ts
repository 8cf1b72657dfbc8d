// millrace queues list|pause|resume|purge.
import type { Command } from 'commander'
import type { QueueInfo } from '../../client/types.js'
import { formatDuration } from '../../core/duration.js'
import { confirm, mustBeAskable } from '../confirm.js'
import type { GlobalFlags } from '../flags.js'
import { count, print, printJson, printTable, remark, type Column } from '../print.js'
import { withClient } from '../target.js'

interface PurgeFlags extends GlobalFlags {
  readonly yes?: boolean
}

export function addQueues(program: Command): void {
  const queues = program
    .command('queues')
    .description('List, pause, resume and purge queues.')
    .addHelpText('after', '\nExamples:\n  $ millrace queues list\n  $ millrace queues pause mail')
  queues
    .command('list')
    .alias('ls')
    .description('Every queue: paused or not, and how many jobs it has in which state.')
    .addHelpText('after', '\nExample:\n  $ millrace queues list --url sqlite:jobs.db')
    .action((_own: GlobalFlags, command: Command) => listQueues(command.optsWithGlobals<GlobalFlags>()))
  queues
    .command('pause')
    .description('No worker takes jobs of this queue from now on, also after restarts. Running ones go on.')
    .argument('<queue>', 'name of the queue')
    .addHelpText('after', '\nExample:\n  $ millrace queues pause mail')
    .action((queue: string, _own: GlobalFlags, command: Command) =>
      setPaused(queue, true, command.optsWithGlobals<GlobalFlags>()),
    )
  queues
    .command('resume')
    .description('Workers take jobs of this queue again.')
    .argument('<queue>', 'name of the queue')
    .addHelpText('after', '\nExample:\n  $ millrace queues resume mail')
    .action((queue: string, _own: GlobalFlags, command: Command) =>
      setPaused(queue, false, command.optsWithGlobals<GlobalFlags>()),
    )
  queues
    .command('purge')
    .description('Remove every waiting job of a queue for good. Running and finished jobs stay.')
    .argument('<queue>', 'name of the queue')
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ millrace queues purge mail --yes')
    .action((queue: string, _own: PurgeFlags, command: Command) => purge(queue, command.optsWithGlobals<PurgeFlags>()))
}

async function listQueues(flags: GlobalFlags): Promise<void> {
  const { remembers } = await import('../tasks.js')
  const { queues, complete } = await withClient(flags, { create: false }, async (client) => ({
    queues: await client.queues.list(),
    complete: await remembers(client),
  }))
  if (!complete)
    remark(
      'note: this broker has no store, so only what waits to be taken is counted. `jobs list` shows the dead, `doctor --deep` what is delayed.',
    )
  if (flags.json) return queues.forEach((queue) => printJson(queue))
  if (queues.length === 0) return remark('There are no queues yet. A worker or `millrace setup` makes them.')
  printTable(complete ? COLUMNS : COLUMNS.filter(({ title }) => OF_EVERY_BROKER.includes(title)), queues)
}

/** What a broker without a store can tell. */
const OF_EVERY_BROKER: readonly string[] = ['NAME', 'READY']

const COLUMNS: readonly Column<QueueInfo>[] = [
  { title: 'NAME', text: (queue) => queue.name },
  {
    title: 'PAUSED',
    text: (queue) => (queue.paused ? 'paused' : '-'),
    style: (queue) => (queue.paused ? 'yellow' : 'dim'),
  },
  { title: 'READY', text: (queue) => String(queue.ready), right: true },
  { title: 'SCHEDULED', text: (queue) => String(queue.scheduled), right: true },
  { title: 'RETRYING', text: (queue) => String(queue.retrying), right: true },
  { title: 'ACTIVE', text: (queue) => String(queue.active), right: true },
  {
    title: 'DEAD',
    text: (queue) => String(queue.dead),
    right: true,
    style: (queue) => (queue.dead > 0 ? 'red' : undefined),
  },
  {
    title: 'OLDEST',
    text: (queue) => (queue.oldestMs === undefined ? '-' : formatDuration(queue.oldestMs)),
    right: true,
  },
]

async function setPaused(queue: string, paused: boolean, flags: GlobalFlags): Promise<void> {
  await withClient(flags, { create: false }, (client) =>
    paused ? client.queues.pause(queue) : client.queues.resume(queue),
  )
  if (flags.json) printJson({ name: queue, paused })
  else print(paused ? `Paused ${queue}.` : `Resumed ${queue}.`)
}

async function purge(queue: string, flags: PurgeFlags): Promise<void> {
  mustBeAskable(`purge "${queue}"`, flags.yes)
  await withClient(flags, { create: false }, async (client) => {
    const { ready, scheduled, retrying } = await client.queues.stats(queue)
    const waiting = ready + scheduled + retrying
    if (waiting > 0) await confirm(`Remove ${count(waiting, 'waiting job')} of queue "${queue}" for good?`, flags.yes)
    const purged = await client.queues.purge(queue)
    if (flags.json) printJson({ name: queue, count: purged })
    else print(`Removed ${count(purged, 'waiting job')} of ${queue}.`)
  })
}
