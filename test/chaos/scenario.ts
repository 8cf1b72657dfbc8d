// What a scenario is, and what the runner gives it.
import type { Random } from './random.js'
import type { Site, SiteOptions } from './site.js'

export interface Scenario {
  readonly name: string
  /** What it does, in a sentence. */
  readonly does: string
  /** What must hold, in a sentence. */
  readonly holds: string
  /** Its part of the time, weighed against those of the others. */
  readonly share: number
  run(chaos: Chaos): Promise<Outcome>
}

export interface Chaos {
  /** How long to make trouble; winding up comes on top. */
  readonly seconds: number
  readonly random: Random
  /** A file with its processes; ended and removed with the scenario, or kept when something was violated. */
  site(o: SiteOptions): Promise<Site>
  /** Run at the end, after every process has ended; `keep`: what was under test is to be looked at. */
  after(end: (keep: boolean) => void): void
  /** A line while it goes on; not more often than every few seconds. */
  progress(text: () => string): void
}

export type Values = Readonly<Record<string, number | string>>

export interface Outcome {
  readonly figures: Values
  readonly violations: readonly string[]
  /** Why it could not run here. */
  readonly skipped?: string
}
