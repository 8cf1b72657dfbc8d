// What a case is, and the proof that every measurement brings: what it counted in the store afterwards.
import type { Counts, Queue, Subject } from '../subject.js'

/** Where and on what a case is measured. */
export interface Stage {
  readonly driver: string
  readonly durability: string
  readonly subject: Subject
  /** Empty, or with the database that `beside` asked for. */
  readonly folder: string
  readonly jobs: number
  readonly quick: boolean
}

export interface Measured {
  readonly value: number
  readonly counted: Counts & { readonly handled: number }
  /** Further figures for the line, such as a p99. */
  readonly also?: Readonly<Record<string, number>>
}

/** What the figure, or its ratio to a peer or to the baseline, should be. */
export interface Target {
  readonly of: string
  readonly least?: number
  readonly most?: number
}

export interface Case {
  readonly name: string
  readonly unit: 'jobs/s' | 'ms' | '% of a core' | 'MB'
  readonly better: 'more' | 'less'
  /** How many jobs, for `--jobs` so many. */
  jobs(base: number): number
  /** Measured once with so many jobs on a file of its own before it counts, so that code is compiled. */
  readonly warmUp?: number
  /** Measured on a file that holds fifty times `--jobs` other jobs like this, and relative to a file without. */
  readonly beside?: 'waiting' | 'finished'
  measure(stage: Stage): Promise<Measured>
}

/** Jobs at once in a worker, in every case. */
export const CONCURRENCY = 50

/** Jobs of a file that cases with `beside` are measured on: a million by default. */
export const fillerOf = (base: number): number => base * 50

/** Counts handlers, and refuses a second run of a job. */
export interface Tally {
  readonly handled: number
  add(n: number): void
  /** Resolves when so many jobs have begun. */
  reached(jobs: number): Promise<void>
}

/** @param jobs numbered from 0; its memory is taken at once, for that of the process is measured too */
export function createTally(jobs: number): Tally {
  const seen = new Uint8Array(jobs).fill(0)
  let handled = 0
  let waitFor = Infinity
  let tell = (): void => {}
  return {
    get handled() {
      return handled
    },
    add(n) {
      if (seen[n] !== 0) throw new CountError(`Job number ${n} ran twice, or was never enqueued.`)
      seen[n] = 1
      if (++handled >= waitFor) tell()
    },
    reached(enough) {
      waitFor = enough
      return new Promise((resolve) => {
        tell = resolve
        if (handled >= enough) resolve()
      })
    },
  }
}

/** The figure is worth nothing: jobs are missing, or there are too many. */
export class CountError extends Error {}

/**
 * What the store has of the measured jobs, when all were done.
 * @throws CountError unless every job that was enqueued is there once, completed, and was handled once
 */
export async function proven(
  queue: Queue,
  expected: { readonly enqueued: number; readonly handled: number },
): Promise<Measured['counted']> {
  const counted = { ...(await queue.count('measured')), handled: expected.handled }
  const { enqueued, completed, dead, waiting, handled } = counted
  const right = enqueued === expected.enqueued && handled === enqueued && completed === enqueued && dead + waiting === 0
  if (!right) throw new CountError(`${expected.enqueued} jobs should be done, but ${JSON.stringify(counted)}.`)
  return counted
}
