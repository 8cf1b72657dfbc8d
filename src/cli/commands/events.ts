// millrace events list|tail|replay: who gets which event, what is published, and sending it once more.
import type { Command } from 'commander'
import type { EventFilter, EventInfo, PublishedEvent } from '../../client/types.js'
import { partsOf } from '../../connect.js'
import { harmless } from '../fail.js'
import { pastTime, wholeNumber, type GlobalFlags } from '../flags.js'
import { count, paint, print, printJson, printTable, remark, type Column } from '../print.js'
import { withClient, type Client } from '../target.js'

interface TailFlags extends GlobalFlags {
  readonly since?: Date
  readonly follow: boolean
  readonly limit?: number
}

interface ReplayFlags extends GlobalFlags {
  readonly since: Date
  readonly before?: Date
  readonly event?: string
}

export function addEvents(program: Command): void {
  const events = program
    .command('events')
    .description('List events and who gets them, watch them, and replay them.')
    .addHelpText(
      'after',
      "\nExamples:\n  $ millrace events list\n  $ millrace events tail 'order.#'\n  $ millrace events replay receipts --since 2h",
    )
  events
    .command('list')
    .alias('ls')
    .description('Every known event: the subscriptions that get it, and the tasks that it queues.')
    .addHelpText('after', '\nExample:\n  $ millrace events list --url sqlite:jobs.db')
    .action((_own: GlobalFlags, command: Command) => listEvents(command.optsWithGlobals<GlobalFlags>()))
  events
    .command('tail')
    .description('Print published events as they come, until Ctrl-C.')
    .argument('[pattern]', 'only these, such as order.#')
    .option('--since <time>', 'first those that the log has since then: 2h, 7d, or a date', pastTime('--since'))
    .option('--no-follow', 'end after what the log has (with --since)')
    .option('--limit <n>', 'end after so many', wholeNumber('--limit', 1))
    .addHelpText(
      'after',
      "\nExamples:\n  $ millrace events tail 'order.#'\n  $ millrace events tail --since 1h --no-follow --json | jq .payload",
    )
    .action((pattern: string | undefined, _own: TailFlags, command: Command) =>
      tail(pattern, command.optsWithGlobals<TailFlags>()),
    )
  events
    .command('replay')
    .description('Send events of the log to one subscription once more. Others get nothing.')
    .argument('<subscription>', 'name of the subscription')
    .requiredOption('--since <time>', 'published since then: 2h, 7d, or a date', pastTime('--since'))
    .option('--before <time>', 'published before: 1h, or a date', pastTime('--before'))
    .option('--event <pattern>', 'only these of its events, such as order.paid')
    .addHelpText(
      'after',
      `
Left out are events whose copy still waits or runs there. A copy that is sent again is a new job.

Examples:
  $ millrace events replay receipts --since 2h
  $ millrace events replay receipts --since 2026-01-31T12:00Z --before 2026-01-31T13:00Z`,
    )
    .action((subscription: string, _own: ReplayFlags, command: Command) =>
      replay(subscription, command.optsWithGlobals<ReplayFlags>()),
    )
}

async function listEvents(flags: GlobalFlags): Promise<void> {
  const events = await withClient(flags, { create: false }, (client) => client.events.list())
  if (flags.json) return events.forEach((event) => printJson(event))
  if (events.length === 0)
    return remark('No events are known yet. A worker or `millrace setup` makes those of its subscriptions known.')
  printTable(COLUMNS, events)
}

const names = (all: readonly string[]) => (all.length === 0 ? '-' : all.join(', '))

const COLUMNS: readonly Column<EventInfo>[] = [
  { title: 'EVENT', text: (event) => event.name },
  { title: 'SUBSCRIPTIONS', text: (event) => names(event.subscriptions) },
  { title: 'TASKS', text: (event) => names(event.tasks) },
]

const LOOK_EVERY = 500
const PAGE = 200

async function tail(pattern: string | undefined, flags: TailFlags): Promise<void> {
  const over = new AbortController()
  const stop = () => over.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    await withClient(flags, { create: false }, (client) => printLog(client, pattern, flags, over.signal))
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
  }
}

async function printLog(client: Client, pattern: string | undefined, flags: TailFlags, over: AbortSignal) {
  const { eventLog, signals } = await partsOf(client).session.open()
  const { since, follow } = flags
  let left = flags.limit ?? Infinity
  let after = since === undefined && follow ? await eventLog.end() : 0
  let wake = () => {}
  const off = signals.on('work', () => wake())
  over.addEventListener('abort', () => wake())
  if (follow && !flags.json) remark('Waiting for events. Ctrl-C ends it.')
  try {
    while (left > 0 && !over.aborted) {
      const woken = new Promise<void>((resolve) => (wake = resolve))
      const filter: EventFilter = {
        after,
        limit: Math.min(PAGE, left),
        ...(pattern !== undefined && { pattern }),
        ...(since !== undefined && { since }),
      }
      const end = await eventLog.end()
      const page = await client.events.log(filter)
      for (const event of page) printEvent(event, flags)
      after = page.at(-1)?.n ?? after
      left -= page.length
      if (page.length === filter.limit) continue
      after = Math.max(after, end) // what does not fit the pattern is not looked at again
      if (!follow) return
      const timer = setTimeout(() => wake(), LOOK_EVERY)
      await woken
      clearTimeout(timer)
    }
  } finally {
    off()
  }
}

function printEvent(event: PublishedEvent, flags: GlobalFlags): void {
  if (flags.json) return printJson(event)
  const { publishedAt, name, id, source, subject, payload } = event
  const from = source === 'millrace' ? '' : `  from ${source}`
  const about = subject === undefined ? '' : `  about ${subject}`
  const data = payload === undefined ? '' : `  ${JSON.stringify(payload)}`
  const rest = harmless(`${id}${from}${about}${data}`)
  print(`${paint('dim', publishedAt.toISOString())}  ${paint('bold', name)}  ${rest}`)
}

async function replay(subscription: string, flags: ReplayFlags): Promise<void> {
  const { since, before, event } = flags
  const sent = await withClient(flags, { create: false }, (client) =>
    client.events.replay(subscription, {
      since,
      ...(before !== undefined && { before }),
      ...(event !== undefined && { pattern: event }),
    }),
  )
  if (flags.json) printJson({ subscription, count: sent })
  else print(`Sent ${count(sent, 'event')} to ${subscription} once more.`)
}
