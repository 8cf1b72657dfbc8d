// What a chaos run prints: its seed, a line per scenario as it goes, and a table at the end; or the same as lines of JSON.
import { cpus } from 'node:os'
import type { Arguments } from './arguments.js'
import type { Outcome, Scenario } from './scenario.js'

export interface Report {
  begin(): void
  progress(name: string, text: string): void
  done(scenario: Scenario, outcome: Outcome & { readonly kept: readonly string[] }, seconds: number): void
  /** Prints the summary; answers whether nothing was violated. */
  end(): boolean
}

type Status = 'passed' | 'failed' | 'skipped'

export function createReport(o: Arguments): Report {
  const results: { name: string; status: Status; seconds: number; summary: string }[] = []
  const print = (text: string, line: object) => console.log(o.json ? JSON.stringify(line) : text)
  // Alone it gets the same time as here, and so meets the same faults.
  const shares = o.scenarios.reduce((sum, { share }) => sum + share, 0)
  const amount = Object.entries(o.amount)
    .map(([what, count]) => `--${what} ${count} `)
    .join('')
  const again = ({ name, share }: Scenario) =>
    `npm run test:chaos -- ${amount}--minutes ${Number(((o.minutes * share) / shares).toFixed(4))} --seed ${o.seed} --scenario ${name}`

  return {
    begin() {
      const machine = { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model ?? 'unknown' }
      print(`Seed ${o.seed}, ${o.minutes} minutes, Node ${process.version}, ${machine.cores} cores (${machine.cpu})`, {
        seed: o.seed,
        minutes: o.minutes,
        ...machine,
      })
    },
    progress(name, text) {
      if (!o.json && text !== '') console.log(`  ${name} … ${text}`)
    },
    done(scenario, { figures, violations, skipped, kept }, seconds) {
      const { name } = scenario
      const status: Status = violations.length > 0 ? 'failed' : skipped === undefined ? 'passed' : 'skipped'
      const summary =
        skipped ??
        Object.entries(figures)
          .map(([what, value]) => `${what} ${value}`)
          .join('; ')
      results.push({ name, status, seconds, summary })
      const line = {
        scenario: name,
        status,
        seconds: Number(seconds.toFixed(1)),
        seed: o.seed,
        figures,
        violations,
        kept,
      }
      const trouble = [
        ...violations.map((violation) => `    VIOLATED  ${violation}`),
        ...(violations.length > 0
          ? [`    must hold ${scenario.holds}`, `    kept      ${kept.join(' ')}`, `    again     ${again(scenario)}`]
          : []),
      ]
      const head = `${status === 'skipped' ? 'SKIPPED' : status} ${name} (${Math.round(seconds)} s): ${summary}`
      print([head, ...trouble].join('\n'), { ...line, ...(skipped !== undefined && { skipped }) })
    },
    end() {
      const count = (status: Status) => results.filter((one) => one.status === status).length
      const [passed, failed, skipped] = [count('passed'), count('failed'), count('skipped')]
      const total = Math.round(results.reduce((sum, { seconds }) => sum + seconds, 0))
      if (!o.json) {
        console.log(`\nSeed ${o.seed}, ${total} s`)
        for (const { name, status, seconds } of results)
          console.log(`  ${name.padEnd(17)} ${status.padEnd(8)} ${String(Math.round(seconds)).padStart(4)} s`)
        if (skipped > 0) console.log(`${skipped} skipped: see above why.`)
      }
      print(`${passed} passed, ${failed} failed`, { passed, failed, skipped, seed: o.seed, seconds: total })
      return failed === 0
    },
  }
}
