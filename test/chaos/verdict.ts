// What came of a site: the ledger's judgement, and whether jobs came back as soon as is promised.
import type { JobRecord } from 'millrace/driver'
import { judge, type Effect, type Fault, type Figures, type History } from './ledger.js'
import { recoveries, type Recovery } from './recovery.js'

/** On top of a lease, until the jobs of a dead worker run again. */
export const SLACK = 5_000

export interface Verdict {
  readonly figures: Figures
  readonly violations: readonly string[]
  readonly recoveries: readonly Recovery[]
  readonly history: History
}

export function verdictOf(o: {
  readonly effects: readonly Effect[]
  readonly records: readonly JobRecord[]
  readonly faults: readonly Fault[]
  readonly unnamed: number
  /** What was seen already. */
  readonly violations: readonly string[]
}): Verdict {
  const { effects, faults, unnamed } = o
  const rows = o.records.map(({ envelope: { id }, state, reason, run, attempt, crashes }) => ({
    id,
    state,
    reason,
    run,
    attempt,
    crashes,
  }))
  const history: History = { effects, rows, faults, unnamed }
  const { figures, violations } = judge(history)
  const { times, never } = recoveries(history)
  const late = times.filter(({ ms, lease }) => ms > lease + SLACK)
  return {
    figures,
    violations: [
      ...o.violations,
      ...violations,
      ...(never.length > 0
        ? [`${never.length} jobs were in hand and never began again: ${never.slice(0, 5).join(', ')}`]
        : []),
      ...late.map(
        ({ process, ms, lease }) =>
          `the jobs of ${process} came back after ${Math.round(ms)} ms; the limit is ${lease} ms + ${SLACK} ms`,
      ),
    ],
    recoveries: times,
    history,
  }
}
