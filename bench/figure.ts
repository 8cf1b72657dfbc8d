// From the measurements of a case, run by run, to its figure: medians, ratios and whether the targets are met.
import type { Case, Measured, Target } from './cases/case.js'
import { median } from './statistics.js'

/** By subject: Millrace, the peers, and `baseline`, which is Millrace without the other jobs in the file. */
export type Run = Readonly<Record<string, Measured>>

export interface Figure {
  readonly case: Case
  readonly jobs: number
  /** Of Millrace: the median of all runs, with the least and the most. */
  readonly value: number
  readonly min: number
  readonly max: number
  /** Medians of the further figures. */
  readonly also: Readonly<Record<string, number>>
  readonly peers: Readonly<Record<string, number>>
  readonly baseline?: number
  /** How many times as good as a peer or the baseline: the median of the ratios inside each run. Above 1 is better. */
  readonly ratios: Readonly<Record<string, number>>
  readonly targets: readonly (Target & { readonly is: number; readonly met: boolean })[]
  /** Of the last run. */
  readonly counted: Readonly<Record<string, Measured['counted']>>
}

const OURS = 'millrace'
export const BASELINE = 'baseline'

export function figureOf(one: Case, runs: readonly Run[], wanted: readonly Target[]): Figure {
  const others = Object.keys(runs[0]!).filter((name) => name !== OURS)
  const valuesOf = (name: string) => runs.map((run) => run[name]!.value)
  const ours = valuesOf(OURS)
  const value = median(ours)
  const medians = Object.fromEntries(others.map((name) => [name, median(valuesOf(name))]))
  const ratios = Object.fromEntries(
    others.map((name) => {
      const theirs = valuesOf(name)
      return [name, median(ours.map((mine, i) => (one.better === 'more' ? mine / theirs[i]! : theirs[i]! / mine)))]
    }),
  )
  const { [BASELINE]: baseline, ...peers } = medians
  const last = runs.at(-1)!
  return {
    case: one,
    jobs: last[OURS]!.counted.enqueued,
    value,
    min: Math.min(...ours),
    max: Math.max(...ours),
    also: Object.fromEntries(
      Object.keys(last[OURS]!.also ?? {}).map((key) => [key, median(runs.map((run) => run[OURS]!.also![key]!))]),
    ),
    peers,
    ...(baseline !== undefined && { baseline }),
    ratios,
    targets: wanted.map((target) => judged(target, target.of === 'value' ? value : ratios[target.of]!)),
    counted: Object.fromEntries(Object.entries(last).map(([name, { counted }]) => [name, counted])),
  }
}

function judged(target: Target, is: number) {
  return { ...target, is, met: is >= (target.least ?? -Infinity) && is <= (target.most ?? Infinity) }
}
