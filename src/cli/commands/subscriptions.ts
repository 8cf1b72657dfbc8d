// millrace subscriptions list|pause|resume|remove.
import type { Command } from 'commander'
import type { SubscriptionInfo } from '../../client/types.js'
import { partsOf } from '../../connect.js'
import { subscriptionTask } from '../../core/event.js'
import { confirm, mustBeAskable } from '../confirm.js'
import { UsageError } from '../fail.js'
import type { GlobalFlags } from '../flags.js'
import { count, print, printJson, printTable, remark, type Column } from '../print.js'
import { withClient } from '../target.js'

interface RemoveFlags extends GlobalFlags {
  readonly yes?: boolean
}

export function addSubscriptions(program: Command): void {
  const subscriptions = program
    .command('subscriptions')
    .description('List, pause, resume and remove subscriptions.')
    .addHelpText('after', '\nExamples:\n  $ millrace subscriptions list\n  $ millrace subscriptions pause receipts')
  subscriptions
    .command('list')
    .alias('ls')
    .description('Every subscription: which events it gets, whether a live worker has it, and what waits for it.')
    .addHelpText(
      'after',
      '\nIts copies are jobs: millrace jobs list --task on:NAME\n\nExample:\n  $ millrace subscriptions list --url sqlite:jobs.db',
    )
    .action((_own: GlobalFlags, command: Command) => listSubscriptions(command.optsWithGlobals<GlobalFlags>()))
  for (const [verb, paused, description] of [
    ['pause', true, 'No worker takes its copies from now on, also after restarts; they wait. Running ones go on.'],
    ['resume', false, 'Workers take its copies again.'],
  ] as const)
    subscriptions
      .command(verb)
      .description(description)
      .argument('<subscription>', 'name of the subscription')
      .addHelpText('after', `\nExample:\n  $ millrace subscriptions ${verb} receipts`)
      .action((name: string, _own: GlobalFlags, command: Command) =>
        setPaused(name, paused, command.optsWithGlobals<GlobalFlags>()),
      )
  subscriptions
    .command('remove')
    .description('End a subscription whose code is gone: no more copies, and those that wait are deleted.')
    .argument('<subscription>', 'name of the subscription')
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ millrace subscriptions remove receipts --yes')
    .action((name: string, _own: RemoveFlags, command: Command) => remove(name, command.optsWithGlobals<RemoveFlags>()))
}

async function listSubscriptions(flags: GlobalFlags): Promise<void> {
  const all = await withClient(flags, { create: false }, (client) => client.subscriptions.list())
  if (flags.json) return all.forEach((one) => printJson(one))
  if (all.length === 0) return remark('There are no subscriptions yet. A worker or `millrace setup` declares its own.')
  printTable(COLUMNS, all)
}

function stateOf(one: SubscriptionInfo): string {
  if (one.paused) return 'paused'
  return one.declared === false ? 'no worker' : 'ok'
}

const COLUMNS: readonly Column<SubscriptionInfo>[] = [
  { title: 'NAME', text: (one) => one.name },
  { title: 'STATE', text: stateOf, style: (one) => (stateOf(one) === 'ok' ? 'dim' : 'yellow') },
  { title: 'READY', text: (one) => String(one.ready), right: true },
  { title: 'SCHEDULED', text: (one) => String(one.scheduled), right: true, spare: 1 },
  { title: 'RETRYING', text: (one) => String(one.retrying), right: true },
  { title: 'ACTIVE', text: (one) => String(one.active), right: true },
  { title: 'DEAD', text: (one) => String(one.dead), right: true, style: (one) => (one.dead > 0 ? 'red' : undefined) },
  { title: 'TASK', text: (one) => one.task ?? '-', spare: 2 },
  { title: 'EVENTS', text: (one) => one.patterns.join(', ') },
]

async function setPaused(name: string, paused: boolean, flags: GlobalFlags): Promise<void> {
  await withClient(flags, { create: false }, async (client) => {
    const queue = (await client.subscriptions.list()).find((one) => one.name === name)?.queue
    await (paused ? client.subscriptions.pause(name) : client.subscriptions.resume(name))
    if (flags.json) return printJson({ name, paused })
    print(paused ? `Paused ${name}.` : `Resumed ${name}.`)
    if (queue !== subscriptionTask(name)) remark(`note: it waits in queue "${queue}", so that whole queue is meant.`)
  })
}

async function remove(name: string, flags: RemoveFlags): Promise<void> {
  mustBeAskable(`remove "${name}"`, flags.yes)
  await withClient(flags, { create: false }, async (client) => {
    const all = await client.subscriptions.list()
    const found = all.find((one) => one.name === name)
    if (found === undefined && all.length > 0)
      throw new UsageError(`There is no subscription "${name}". There are: ${all.map((one) => one.name).join(', ')}.`)
    // Its own copies: its queue may have jobs of others, which stay.
    const { jobs, traits } = await partsOf(client).session.open()
    const waiting = traits.remembers
      ? await jobs.count({ name: subscriptionTask(name), states: ['scheduled', 'ready'] })
      : (found?.ready ?? 0) // all that such a broker can tell
    await confirm(`End subscription "${name}" and delete ${count(waiting, 'waiting job')} for good?`, flags.yes)
    const removed = await client.subscriptions.remove(name)
    if (flags.json) printJson({ name, count: removed })
    else print(`Removed ${name}; ${count(removed, 'waiting job')} deleted.`)
  })
}
