// npm run test:chaos -- --minutes 10 [--seed N] [--scenario a,b] [--json]: real processes and files under faults, and what
// held. Everything that is random comes from the seed, which is printed first. Exits with 1 when anything was violated.
import { setTimeout as sleep } from 'node:timers/promises'
import { readArguments } from './arguments.js'
import { killAll } from './processes.js'
import { createRandom } from './random.js'
import { createReport } from './report.js'
import type { Chaos, Outcome, Scenario } from './scenario.js'
import { openSite, type Site } from './site.js'

const options = attempt(() => readArguments(process.argv.slice(2)))
const report = createReport(options)
/** Undone at the end of a scenario, or when the run is interrupted: processes first, then mounts, then folders. */
const ends: ((keep: boolean) => void)[] = []

const undo = (keep: boolean) => {
  for (const end of ends.splice(0).reverse()) end(keep)
}
process.on('exit', () => {
  killAll()
  undo(false)
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
  const sites: Site[] = []
  let line: () => string = () => ''
  const ticking = setInterval(() => report.progress(scenario.name, line()), 10_000)
  const over = new AbortController()
  const chaos: Chaos = {
    seconds,
    random: createRandom(`${options.seed}/${scenario.name}`),
    async site(o) {
      const site = await openSite(scenario.name, o)
      sites.push(site)
      ends.push((keep) => site.forget(keep))
      return site
    },
    after: (end) => void ends.push(end),
    progress: (text) => void (line = text),
  }
  // Nothing that a scenario waits for takes that long unless it is broken.
  const limit = seconds + 180
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
process.exitCode = report.end() ? 0 : 1
