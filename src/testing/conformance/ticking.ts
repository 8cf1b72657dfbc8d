// Processes whose schedules tick when a case says so, by a clock that the case moves.
import type { State, StatefulDriver } from '../../driver/driver.js'
import { declareSchedules } from '../../schedules/declare.js'
import { createTicker, type Step } from '../../schedules/ticker.js'
import type { Handler } from '../../worker/types.js'
import { SILENT, type Stage } from './stage.js'

export const MINUTE = 60_000
/** A whole minute in the past, at which the cases begin. */
export const START = Math.floor(Date.now() / MINUTE) * MINUTE - 60 * MINUTE
const KEEP = { completed: 3_600_000, dead: 3_600_000, log: 3_600_000 }

/** A process with a clock of its own: declares what its code says, and makes ticks when it is told to. */
export async function openProcess(
  stage: Stage,
  handlers: readonly Handler[] = [],
  /** Happens after it has read and before it writes. */
  between: () => Promise<unknown> = async () => {},
): Promise<{
  readonly driver: StatefulDriver<any>
  declare(now: number, worker?: string): Promise<void>
  /** Also when its own code declares nothing. */
  step(now: number): Promise<Step>
}> {
  const driver = await stage.driver()
  const schedules = handlers.map((handler) => handler['~schedule']!)
  let time = START
  const around = { now: () => time, random: () => 0.5 }
  const own = new Set(schedules.map(({ name }) => name))
  const state: State = {
    ...driver.state,
    async list(o) {
      const entries = await driver.state.list(o)
      await between()
      return entries
    },
  }
  const ticker = createTicker({ driver: { ...driver, state }, session: { around, keep: KEEP, log: SILENT }, own })
  return {
    driver,
    declare: (now, worker) => declareSchedules({ driver, schedules, now: () => now, log: SILENT, worker }),
    step(now) {
      time = now
      return ticker.step(now)
    },
  }
}

/** The ids of all jobs, sorted. */
export async function idsOf(driver: StatefulDriver<any>): Promise<string[]> {
  const { jobs } = await driver.jobs.list({ limit: 1000 })
  return jobs.map(({ envelope: { id } }) => id).sort()
}
