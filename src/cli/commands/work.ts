// millrace work FILE: a worker in this process, until it is told to stop.
import type { Command } from 'commander'
import type { Logger } from '../../observe/log.js'
import type { Worker } from '../../worker/types.js'
import { leave, oneLine, onUncaught, textOf } from '../fail.js'
import { duration, list, wholeNumber, type GlobalFlags } from '../flags.js'
import { loadWorker, placeIn } from '../load.js'
import { createCliLogger } from '../log.js'
import { count } from '../print.js'
import { dial, placeOf } from '../target.js'

/** Ids of running jobs that are named when the process ends by an error. */
const SHOWN_JOBS = 20

interface Flags extends GlobalFlags {
  readonly queues?: string[]
  readonly concurrency?: number
  readonly grace?: number
  readonly quiet?: boolean
}

export function addWork(program: Command): void {
  program
    .command('work')
    .description('Run the worker that FILE exports as its default, until SIGTERM or SIGINT.')
    .argument('<file>', 'TypeScript or JavaScript, whose default export is a worker')
    .option('--queues <a,b>', 'only these of its queues', list('--queues'))
    .option('--concurrency <n>', 'jobs at once in this process', wholeNumber('--concurrency', 1, 10_000))
    .option('--grace <duration>', 'how long running jobs may go on after a signal (default: 25s)', duration('--grace'))
    .option('--quiet', 'log only warnings and errors')
    .addHelpText(
      'after',
      `
The first signal stops the worker after its running jobs, a second one gives them back at once.

Examples:
  $ millrace work worker.ts --url sqlite:jobs.db
  $ millrace work worker.ts --queues mail,reports --concurrency 20 --grace 1m`,
    )
    .action((file: string, _own: Flags, command: Command) => work(file, command.optsWithGlobals<Flags>()))
}

async function work(file: string, flags: Flags): Promise<void> {
  const level = flags.verbose ? 'debug' : flags.quiet ? 'warn' : 'info'
  const log = createCliLogger({ level, json: flags.json ?? false })
  const loaded = await loadWorker(file)
  const client = await dial(flags, { create: true, log: namingThePlace(log, placeOf(flags)) })
  try {
    const options = await loaded.open()
    const toldToStop = listenForSignals(log)
    const worker = await client.work(options, {
      signals: true,
      ...(flags.queues !== undefined && { queues: flags.queues }),
      ...(flags.concurrency !== undefined && { concurrency: flags.concurrency }),
      ...(flags.grace !== undefined && { grace: flags.grace }),
    })
    stopOnMistakes(log, worker)
    if (toldToStop()) void worker.stop().catch(() => {}) // its failure reaches whoever waits for `done`
    await worker.done
  } finally {
    await client.close()
  }
}

/** The line that tells of the start says where the jobs are, too. */
function namingThePlace(log: Logger, place: object): Logger {
  return {
    ...log,
    info: (o, m) => log.info(m === 'Worker started.' ? { ...(o as object), ...place } : o, m),
  }
}

/**
 * The worker hears signals only once it has started, and not any more when it has stopped: until then, and from then on,
 * they must not end the process half-way. A third one does: an `onStop` may hang.
 */
function listenForSignals(log: Logger): () => boolean {
  let seen = 0
  const onSignal = (signal: NodeJS.Signals) => {
    seen += 1
    if (seen < 3) return
    log.error({ signal }, 'Leaving at once. The jobs in hand go to other workers when the lease is over.')
    leave(1)
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  return () => seen > 0
}

/** An error that nothing caught leaves the process in an unknown state, and one of the running jobs may have done it. */
function stopOnMistakes(log: Logger, worker: Worker): void {
  onUncaught((thrown) => {
    process.exitCode = 1
    const text = oneLine(textOf(thrown)) + placeIn(thrown)
    log.error(`Nobody caught ${text}. The worker ends, and what it had in hand counts as after a crash.`)
    void worker.crash().then((jobs) => {
      if (jobs.length > 0) log.error({ jobs: jobs.slice(0, SHOWN_JOBS) }, `${count(jobs.length, 'job')} had begun.`)
      leave(1)
    })
  })
}
