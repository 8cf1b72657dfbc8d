// millrace bench: how fast Millrace is on this machine and this disk. Leaves nothing behind.
import { cpus } from 'node:os'
import type { Command } from 'commander'
import { Failure, leave } from '../fail.js'
import { wholeNumber, type GlobalFlags } from '../flags.js'
import { printJson, printTable, remark, type Column } from '../print.js'
import { databaseOf, dial, type Client } from '../target.js'
import type { BenchFigure } from '../bench-cases.js'

interface Flags extends GlobalFlags {
  readonly jobs: number
}

type Result = BenchFigure & { readonly case: string }

const JOBS = 20_000
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('Measure how fast jobs are enqueued, done and started on this machine and disk.')
    .option('--jobs <n>', 'jobs of a case', wholeNumber('--jobs', 10, 1_000_000), JOBS)
    .addHelpText(
      'after',
      `
It takes a few seconds, and writes to a file of its own: beside the database of --url, to measure that disk, or else
in the folder for temporary files. Your jobs are not touched, and the file is removed, also when you interrupt.

bulk-enqueue        one caller, 500 jobs in each call of enqueueMany
single-enqueue-N    N callers, each awaits enqueue after enqueue
drain               a worker with concurrency 50 and handlers that do nothing; results are kept
latency-local-p50   from the call of enqueue to the start of the handler in an idle worker, the median

Examples:
  $ millrace bench
  $ millrace bench --url sqlite:/var/lib/app/jobs.db --jobs 100000
  $ millrace bench --json`,
    )
    .action((_own: Flags, command: Command) => bench(command.optsWithGlobals<Flags>()))
}

async function bench(flags: Flags): Promise<void> {
  const given = flags.url || process.env['MILLRACE_URL'] || undefined
  const interrupted = onSignal()
  const { openBenchPlace } = await import('../bench-place.js')
  const place = await openBenchPlace(given)
  process.once('exit', () => place.remove()) // whatever ends the process
  try {
    const client = await dial({ ...flags, url: place.url }, { create: true, namespace: 'bench' })
    try {
      const results = measure(client, flags.jobs)
      results.catch(() => {}) // after an interrupt nobody waits for it
      show(await Promise.race([results, interrupted]), flags, given)
    } finally {
      await client.close({ grace: 0 })
    }
  } finally {
    place.remove()
  }
}

async function measure(client: Client, jobs: number): Promise<Result[]> {
  const { BENCH_CASES } = await import('../bench-cases.js')
  const results: Result[] = []
  for (const [name, run] of Object.entries(BENCH_CASES)) {
    remark(`Measuring ${name} …`)
    results.push({ case: name, ...(await run(client, jobs)) })
  }
  return results
}

/**
 * Rejects at the first signal. The second changes nothing, for npx passes each one on twice; a third ends the process at
 * once.
 */
function onSignal(): Promise<never> {
  let seen = 0
  const interrupted = new Promise<never>((_resolve, reject) => {
    for (const signal of SIGNALS)
      process.on(signal, () => {
        if (++seen === 3) leave(1)
        reject(new Failure(`Interrupted by ${signal}. Nothing was left behind.`))
      })
  })
  interrupted.catch(() => {}) // it may come before anybody waits for it
  return interrupted
}

function show(results: readonly Result[], flags: Flags, given: string | undefined): void {
  const database = given === undefined ? 'a temporary file' : databaseOf(flags)
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length }
  if (flags.json)
    return results.forEach((result) => {
      const { case: name, value, ...rest } = result
      const driver = (given ?? 'sqlite:').split(':', 1)[0]
      const durability = driver === 'memory' ? 'none' : 'full'
      printJson({ case: name, driver, value: Number(value.toPrecision(6)), ...rest, durability, database, ...machine })
    })
  printTable(COLUMNS, results)
  remark(`${database}, Node ${machine.node}, ${machine.cpu}, ${machine.cores} cores`)
}

const COLUMNS: readonly Column<Result>[] = [
  { title: 'CASE', text: (result) => result.case },
  {
    title: 'FIGURE',
    text: ({ unit, value }) => (unit === 'ms' ? `${value.toFixed(2)} ms` : `${value.toLocaleString('en-US')} jobs/s`),
    right: true,
  },
  { title: 'JOBS', text: ({ counted }) => counted.enqueued.toLocaleString('en-US'), right: true },
  { title: 'DONE', text: ({ counted }) => counted.completed.toLocaleString('en-US'), right: true },
  { title: 'WAITING', text: ({ counted }) => counted.ready.toLocaleString('en-US'), right: true },
]
