// One suite proves every driver. Cases are driven by ports and traits, so a driver of your own gets the same exam.
import type { CaseResult, ConformanceCase, Harness, PromiseId } from './case.js'
import type { Place } from './place.js'
import { crashCases } from './crash.js'
import { durableCases } from './durable.js'
import { fanOutCases } from './fan-out.js'
import { finalCases } from './final.js'
import { forgetfulCases } from './forgetful.js'
import { leavingCases } from './leaving.js'
import { leavingPairCases } from './leaving-pair.js'
import { ledgerCases } from './ledger.js'
import { moreLedgerCases } from './ledger-more.js'
import { limitCases } from './limits.js'
import { movingCases } from './moving.js'
import { operatorCases } from './operator.js'
import { orderCases } from './order.js'
import { outageCases } from './outage.js'
import { pairCases } from './pair.js'
import { pairCrashCases } from './pair-crash.js'
import { pairOutageCases } from './pair-outage.js'
import { resultCases } from './results.js'
import { retryCases } from './retries.js'
import { scheduleCases } from './schedules.js'
import { scheduleVerbCases } from './schedule-verbs.js'
import { seamCases } from './seam.js'
import { seenCases } from './seen.js'
import { settleCases } from './settle.js'
import { createStage } from './stage.js'
import { stopCases } from './stop.js'
import { uniqueCases } from './unique.js'

export type { CaseResult, ConformanceCase, Harness, PromiseId } from './case.js'
export type { OpenOptions, Place } from './place.js'
export type { Hand, Stage } from './stage.js'
export { conformanceTable } from './table.js'

/** Every case, in the order of the promises. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...movingCases,
  ...forgetfulCases,
  ...durableCases,
  ...settleCases,
  ...crashCases,
  ...stopCases,
  ...retryCases,
  ...orderCases,
  ...uniqueCases,
  ...resultCases,
  ...limitCases,
  ...operatorCases,
  ...seenCases,
  ...outageCases,
  ...fanOutCases,
  ...scheduleCases,
  ...scheduleVerbCases,
  ...seamCases,
  ...leavingCases,
  ...leavingPairCases,
  ...ledgerCases,
  ...moreLedgerCases,
  ...pairCases,
  ...pairCrashCases,
  ...finalCases,
  ...pairOutageCases,
].sort((a, b) => rank(a.promise) - rank(b.promise))

function rank(promise: PromiseId): number {
  return promise === 'seam' ? Infinity : Number(promise.slice(1))
}

/** Run one case on a fresh place. Never rejects: a case that does not hold is a result. */
export async function runCase(harness: Harness, one: ConformanceCase): Promise<CaseResult> {
  const result = { driver: harness.name, promise: one.promise, level: one.level, name: one.name }
  let place: Place | undefined
  try {
    place = await harness.create()
    const driver = place.open({})
    const reason = one.needs?.(driver.traits, place, driver)
    if (reason !== undefined) return { ...result, status: 'skipped', reason }
    const { stage, end } = createStage(place)
    try {
      await one.run(stage)
    } finally {
      await end()
    }
    return { ...result, status: 'passed' }
  } catch (error) {
    return {
      ...result,
      status: 'failed',
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }
  } finally {
    await place?.destroy()
  }
}

/** The part of a test runner that `conformance` needs; those of vitest, jest and node:test have it. */
export interface Runner {
  describe(name: string, body: () => void): unknown
  it(name: string, body: (context: any) => Promise<void>): unknown
}

/** Register the whole suite for one driver. `onResult` hears of each case, for a table. */
export function conformance(harness: Harness, runner: Runner, onResult: (result: CaseResult) => void = () => {}): void {
  runner.describe(`conformance: ${harness.name}`, () => {
    for (const one of conformanceCases)
      runner.it(`${one.promise} ${one.name} [${one.level}]`, async (context: { skip?: (reason?: string) => void }) => {
        const result = await runCase(harness, one)
        onResult(result)
        if (result.status === 'skipped') context?.skip?.(result.reason)
        if (result.status === 'failed') throw new Error(result.reason)
      })
  })
}
