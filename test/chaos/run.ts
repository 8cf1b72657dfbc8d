// npm run test:chaos -- --minutes 10 [--seed N] [--scenario a,b] [--json]: real processes and files under faults, and what
// held; for scenarios on RabbitMQ also --full, or --jobs N --kills N --stops N --closes N. Everything that is random comes from the seed, which is printed first. Exits with 1 when anything was violated.
import { setTimeout as sleep } from 'node:timers/promises'
import { installed, startRabbitmq, type RabbitmqNode } from '../support/rabbitmq-node.js'
import { readArguments } from './arguments.js'
import { openBrokerSite } from './broker-site.js'
import { killAll } from './processes.js'
import { createRandom } from './random.js'
import { createReport } from './report.js'
import type { Chaos, Outcome, Scenario } from './scenario.js'
import { openSite } from './site.js'

const options = attempt(() => readArguments(process.argv.slice(2)))
const report = createReport(options)
/** Undone at the end of a scenario, or when the run is interrupted: processes first, then mounts, then folders. */
const ends: ((keep: boolean) => void)[] = []

/** Started by the first scenario that asks for it. */
let node: Promise<RabbitmqNode> | undefined
let removeNode = () => {}

async function rabbit(): Promise<RabbitmqNode | string> {
  if (installed('rabbitmq-server') === undefined) {
    const why = 'RabbitMQ is not installed: there is no rabbitmq-server in PATH'
    if (process.env['CI']) throw new Error(why)
    return why
  }
  node ??= startRabbitmq()
  const started = await node
  removeNode = () => started.remove()
  return started
}

const undo = (keep: boolean) => {
  for (const end of ends.splice(0).reverse()) end(keep)
}
process.on('exit', () => {
  killAll()
  undo(false)
  removeNode()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

/** Wrong use ends the run before it begins. */
function attempt<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    console.error((error as Error).message)
    return process.exit(2)
  }
}

async function play(scenario: Scenario, seconds: number): Promise<Outcome & { readonly kept: readonly string[] }> {
  const sites: { readonly folder: string; close(): Promise<void>; forget(keep: boolean): void }[] = []
  const opened = <T extends (typeof sites)[number]>(site: T): T => {
    sites.push(site)
    ends.push((keep) => site.forget(keep))
    return site
  }
  let line: () => string = () => ''
  const ticking = setInterval(() => report.progress(scenario.name, line()), 10_000)
  const over = new AbortController()
  const chaos: Chaos = {
    seconds,
    random: createRandom(`${options.seed}/${scenario.name}`),
    amount: options.amount,
    site: async (o) => opened(await openSite(scenario.name, o)),
    brokerSite: async (o) => opened(await openBrokerSite(scenario.name, o)),
    rabbit,
    after: (end) => void ends.push(end),
    progress: (text) => void (line = text),
  }
  // Nothing that a scenario waits for takes that long unless it is broken.
  const limit = seconds + 180 + (options.amount.jobs ?? 0) / 20
  const tooLong = sleep(limit * 1000, undefined, { signal: over.signal }).then((): Outcome => ({
    figures: {},
    violations: [`it had not ended after ${Math.round(limit)} s`],
  }))
  const outcome = await Promise.race([scenario.run(chaos), tooLong]).catch((error: unknown): Outcome => ({
    figures: {},
    violations: [`it broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`],
  }))
  over.abort()
  tooLong.catch(() => {}) // called off
  clearInterval(ticking)
  for (const site of sites) await site.close()
  const keep = outcome.violations.length > 0
  undo(keep)
  return { ...outcome, kept: keep ? sites.map(({ folder }) => folder) : [] }
}

report.begin()
const shares = options.scenarios.reduce((sum, { share }) => sum + share, 0)
for (const scenario of options.scenarios) {
  const seconds = (options.minutes * 60 * scenario.share) / shares
  const since = performance.now()
  report.done(scenario, await play(scenario, seconds), (performance.now() - since) / 1000)
}
removeNode()
process.exitCode = report.end() ? 0 : 1
