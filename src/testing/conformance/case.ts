// A conformance case is data: a name, the promise it owns, what it needs, and a function that throws when it does not hold.
import type { Driver, Traits } from '../../driver/driver.js'
import type { Place } from './place.js'
import type { Stage } from './stage.js'

export type PromiseId = `P${number}` | 'seam'

export interface ConformanceCase {
  /** One sentence that says what holds. */
  readonly name: string
  readonly promise: PromiseId
  /** `driver`: the ports alone. `runtime`: a whole client and worker over them. */
  readonly level: 'driver' | 'runtime'
  /** Why the case does not apply here; `undefined` when it does. */
  readonly needs?: (traits: Traits, place: Place, driver: Driver) => string | undefined
  readonly run: (stage: Stage) => Promise<void>
}

/** What the suite needs to prove a driver. */
export interface Harness {
  /** Column of the table. */
  readonly name: string
  create(): Promise<Place>
}

export type CaseStatus = 'passed' | 'failed' | 'skipped'

export interface CaseResult {
  readonly driver: string
  readonly promise: PromiseId
  readonly level: 'driver' | 'runtime'
  readonly name: string
  readonly status: CaseStatus
  /** Of a skip: why it does not apply. Of a failure: the error's message. */
  readonly reason?: string
}
