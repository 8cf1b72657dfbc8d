// The `millrace` command. Little is imported before a verb is known, so that --help and wrong flags answer at once.
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { addBench } from './commands/bench.js'
import { addDoctor } from './commands/doctor.js'
import { addDrain } from './commands/drain.js'
import { addEnqueue } from './commands/enqueue.js'
import { addEvents } from './commands/events.js'
import { addGateway } from './commands/gateway.js'
import { addJobs } from './commands/jobs.js'
import { addPublish } from './commands/publish.js'
import { addQueues } from './commands/queues.js'
import { addSchedules } from './commands/schedules.js'
import { addSetup } from './commands/setup.js'
import { addSubscriptions } from './commands/subscriptions.js'
import { addWork } from './commands/work.js'
import { addWorkers } from './commands/workers.js'
import { exitCodeOf, Failure, leave, onUncaught, report, textOf } from './fail.js'
import type { GlobalFlags } from './flags.js'
import { placeIn } from './load.js'
import { loadEnvFile } from './target.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

function createProgram(): Command {
  const program = new Command('millrace')
    .description('Background jobs, events and schedules for Node.js: run workers, enqueue, publish, look after it all.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .option('--url <url>', 'where the jobs are: sqlite:jobs.db, amqp://localhost (default: MILLRACE_URL)')
    .option('--store <url>', 'the store beside a broker, such as sqlite:jobs.db (default: MILLRACE_STORE)')
    .option('--namespace <name>', 'the jobs of this namespace (default: MILLRACE_NAMESPACE, or none)')
    .option('--env-file <file>', 'read environment variables from a file first')
    .option('--json', 'print JSON, one value on a line')
    .option('--verbose', 'print the stack of errors, and debug lines')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(`${text.trim().replaceAll('\n', ' ')}\n`) })
    .exitOverride()
    .hook('preAction', () => {
      const { envFile } = program.opts<GlobalFlags>()
      if (envFile !== undefined) loadEnvFile(envFile)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ millrace work worker.ts --url sqlite:jobs.db
  $ millrace enqueue greet '{"name":"Ada"}' --wait --url sqlite:jobs.db
  $ millrace work worker.ts --url amqp://localhost --store sqlite:jobs.db

Exit codes: 0 done, 1 failed, 2 wrong use.`,
    )
  const toWork = [addWork, addGateway, addSetup, addEnqueue, addPublish]
  const toLookAfter = [
    addJobs,
    addQueues,
    addEvents,
    addSubscriptions,
    addSchedules,
    addWorkers,
    addDrain,
    addDoctor,
    addBench,
  ]
  for (const add of [...toWork, ...toLookAfter]) add(program)
  return program
}

/** A reader that went away (`| head`) ends the command quietly; a worker goes on without its log. */
function surviveBrokenPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') leave(Number(process.exitCode ?? 0))
    report(error, false)
    leave(1)
  })
  process.stderr.on('error', () => {}) // there is nobody left to tell
}

/** End once everything is printed. Handles that a worker file left open must not keep the process. */
function exit(code: number): void {
  process.exitCode = code
  process.stdout.write('', () => process.stderr.write('', () => leave(code)))
}

/** Node ends with 0 when nothing is left to wait for, also when code of the user awaits what never comes. */
function failWhenStuck(): void {
  process.once('beforeExit', () => {
    report(new Failure('Stuck: something is awaited that can never come, such as a promise nobody resolves.'), false)
    leave(1)
  })
}

async function main(): Promise<void> {
  surviveBrokenPipes()
  failWhenStuck()
  const program = createProgram()
  const verbose = () => program.opts<GlobalFlags>().verbose ?? false
  onUncaught((thrown) => {
    report(new Failure(textOf(thrown) + placeIn(thrown), { cause: thrown }), verbose())
    leave(1)
  })
  try {
    await program.parseAsync()
    exit(Number(process.exitCode ?? 0))
  } catch (error) {
    report(error, verbose())
    exit(exitCodeOf(error))
  }
}

void main()
