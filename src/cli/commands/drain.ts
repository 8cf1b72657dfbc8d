// millrace drain: moves waiting jobs from one store to another.
import type { Command } from 'commander'
import type { DrainableQueue, Drained, DrainOptions, RefusedJob } from '../../client/drain.js'
import type { Driver } from '../../driver/driver.js'
import { exitCodeOf, Failure, textOf, UsageError } from '../fail.js'
import { list, type GlobalFlags } from '../flags.js'
import { confirm, mustBeAskable } from '../confirm.js'
import { count, paint, print, printJson, printTable, remark, type Column } from '../print.js'
import { databaseOf, withClient, type Client } from '../target.js'

interface Flags extends GlobalFlags {
  readonly from: string
  readonly to: string
  readonly fromStore?: string
  readonly toStore?: string
  readonly queue?: string[]
  readonly dryRun?: boolean
  readonly giveBack?: boolean
  readonly yes?: boolean
}

export function addDrain(program: Command): void {
  program
    .command('drain')
    .description('Move waiting and delayed jobs from one store to another, under their ids.')
    .requiredOption('--from <url>', 'where the jobs are')
    .requiredOption('--to <url>', 'where they shall go; it must have been set up')
    .option('--from-store <url>', 'the store beside the broker they come from')
    .option('--to-store <url>', 'the store beside the broker they go to')
    .option('--queue <names>', 'only these queues', list('--queue'))
    .option('--dry-run', 'only say what would be moved')
    .option('--give-back', 'give what an interrupted run holds, or --to refused, back to the workers of --from')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Running, dead and finished jobs stay. If it is interrupted, run it again: nothing is lost, and nothing is moved twice.

Examples:
  $ millrace drain --from sqlite:old.db --to sqlite:new.db --dry-run
  $ millrace drain --from sqlite:old.db --to sqlite:new.db --queue mail,reports
  $ millrace drain --from sqlite:old.db --to amqp://localhost --to-store sqlite:new.db`,
    )
    .action((_own: Flags, command: Command) => drain(command.optsWithGlobals<Flags>()))
}

async function drain(flags: Flags): Promise<void> {
  if (flags.url !== undefined || flags.store !== undefined)
    throw new UsageError('drain takes --from and --to (and --from-store, --to-store), not --url or --store.')
  if (flags.dryRun && flags.giveBack) throw new UsageError('Give --dry-run or --give-back, not both.')
  if (!flags.dryRun) mustBeAskable('move jobs', flags.yes)
  const [from, to] = [end(flags, flags.from, flags.fromStore), end(flags, flags.to, flags.toStore)]
  const o = { create: false, environment: false }
  await withClient(from, o, (source) =>
    withClient(to, o, async (destination) => {
      const names = `from ${databaseOf(from)} to ${databaseOf(to)}`
      if (flags.giveBack) await giveBack(source, destination, flags)
      else await moveAll(source, destination, names, flags)
    }),
  )
}

function end({ namespace, json, verbose }: Flags, url: string, store: string | undefined): GlobalFlags {
  return {
    url,
    ...(store !== undefined && { store }),
    ...(namespace !== undefined && { namespace }),
    ...(json !== undefined && { json }),
    ...(verbose !== undefined && { verbose }),
  }
}

async function ends(source: Client, destination: Client): Promise<{ from: Driver<any>; to: Driver<any> }> {
  const { driversOf } = await import('../../drain.js')
  const [from, to] = await driversOf(source, destination)
  return { from, to }
}

async function moveAll(source: Client, destination: Client, names: string, flags: Flags): Promise<void> {
  const { delayedAt, drainable, drainDriver } = await import('../../client/drain.js')
  const { from, to } = await ends(source, destination)
  const queues = flags.queue && { queues: flags.queue }
  const found = await drainable(from, queues)
  const delayed = await delayedAt(from)
  if (flags.dryRun) return preview(found, delayed, names, flags)
  // Of which queue the delayed ones are is found out as they come.
  const total = sum(found, 'waiting') + sum(found, 'held') + (delayed ?? 0)
  if (total > 0)
    await confirm(`Move ${flags.queue && delayed ? 'up to ' : ''}${count(total, 'waiting job')} ${names}?`, flags.yes)
  const { signal, off } = stopAtSignals()
  const progress = createProgress(total)
  try {
    report(
      await drainDriver(from, to, {
        ...queues,
        signal,
        onProgress: progress.tell,
        onRefused: (job) => tellRefused(job, flags),
      }),
      flags,
    )
  } catch (error) {
    if (exitCodeOf(error) === 2) throw error
    const so = progress.moved() > 0 ? ` ${count(progress.moved(), 'job')} moved until then.` : ''
    throw new Failure(`${textOf(error)}${so} Run the command again to go on.`, { cause: error })
  } finally {
    off()
  }
}

/** Says now and then how far it is. */
function createProgress(total: number): { tell: NonNullable<DrainOptions['onProgress']>; moved(): number } {
  let [moved, told] = [0, performance.now()]
  return {
    moved: () => moved,
    tell(so) {
      moved = so.moved
      if (performance.now() - told < 2_000) return
      told = performance.now()
      remark(`Moved ${so.moved} of ${count(Math.max(total, so.moved + so.refused), 'job')} …`)
    },
  }
}

/** The first signal ends it after the step under way; a second one does what it always does. */
function stopAtSignals(): { signal: AbortSignal; off(): void } {
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  return { signal: stopping.signal, off: () => void process.off('SIGINT', stop).off('SIGTERM', stop) }
}

function tellRefused(job: RefusedJob, { json }: Flags): void {
  if (json) printJson({ kind: 'refused', ...job })
  else remark(`Job ${job.id} (${job.task}, queue ${job.queue}) stays held: ${job.why}`)
}

function report({ moved, refused, stopped, left, delayed }: Drained, { json }: Flags): void {
  if (stopped || refused > 0) process.exitCode = 1
  const stay = { waiting: sum(left, 'waiting'), active: sum(left, 'active'), dead: sum(left, 'dead') }
  if (json) {
    const all = { held: sum(left, 'held'), ...stay, ...(delayed !== undefined && { delayed }) }
    return printJson({ kind: 'drained', moved, refused, stopped, left: all })
  }
  print(`Moved ${count(moved, 'job')}.${stopped ? ' Stopped before the end: run the command again to go on.' : ''}`)
  if (refused > 0)
    remark(`${count(refused, 'job')} refused, and held at the source. Run it again later, or with --give-back.`)
  if (stay.waiting > 0 && !stopped) remark(`${count(stay.waiting, 'job')} began to wait meanwhile: run it again.`)
  if (delayed && !stopped) remark(`${count(delayed, 'delayed job')} of all queues left at the source.`)
  if (stay.active > 0) remark(`${count(stay.active, 'job')} in workers' hands at the source: they end there.`)
  if (stay.dead > 0) remark(`${count(stay.dead, 'dead job')} at the source: not moved.`)
}

const COLUMNS: readonly Column<DrainableQueue>[] = [
  { title: 'QUEUE', text: (queue) => queue.queue },
  { title: 'WAITING', text: (queue) => String(queue.waiting), right: true },
  { title: 'HELD', text: (queue) => String(queue.held), right: true },
  { title: 'ACTIVE', text: (queue) => String(queue.active), right: true },
  { title: 'DEAD', text: (queue) => String(queue.dead), right: true },
]

function preview(
  found: readonly DrainableQueue[],
  delayed: number | undefined,
  names: string,
  { json, queue: asked }: Flags,
): void {
  if (json) {
    for (const queue of found) printJson({ ...queue, dryRun: true })
    if (delayed !== undefined) printJson({ delayed, dryRun: true })
    return
  }
  if (found.length > 0) printTable(COLUMNS, found)
  const total = sum(found, 'waiting') + sum(found, 'held') + ((!asked && delayed) || 0)
  if (delayed !== undefined)
    remark(`${count(delayed, 'delayed job')} of all queues; the broker does not tell of which.`)
  remark(paint('dim', `${count(total, 'job')} would be moved ${names}; nothing was done.`))
}

async function giveBack(source: Client, destination: Client, flags: Flags): Promise<void> {
  const { giveBackHeld } = await import('../../client/drain.js')
  const { from, to } = await ends(source, destination)
  const { givenBack, moved } = await giveBackHeld(from, to, flags.queue && { queues: flags.queue })
  if (flags.json) return printJson({ kind: 'given-back', givenBack, moved })
  print(`Gave ${count(givenBack, 'job')} back to the source.`)
  if (moved > 0) remark(`${count(moved, 'job')} had arrived at the destination already.`)
}

const sum = (queues: readonly DrainableQueue[], what: 'waiting' | 'held' | 'active' | 'dead') =>
  queues.reduce((total, queue) => total + queue[what], 0)
