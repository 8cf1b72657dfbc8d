// The loop beside every worker: while it holds the lease it makes each tick at its time, else it looks whether the holder is
// still there. A store without schedules costs two small reads every other second.
import { messageOf } from '../core/errors.js'
import { SCHEDULE_PREFIX } from '../client/schedule-record.js'
import type { Company } from '../worker/companion.js'
import { createUpkeep } from './declare.js'
import { createLease } from './lease.js'
import { createTicker } from './ticker.js'

/** A new schedule, or a holder that is gone, is seen within this time. */
const LOOK_EVERY = 1_000
const LOOK_WHEN_EMPTY = 2_000
const UPKEEP_EVERY = 3_000

export function startScheduler({ driver, parts, plan, worker }: Company & { readonly worker: string }): {
  stop(): Promise<void>
} {
  const { session } = parts
  const { log, around } = session
  if (!driver.traits.remembers) return { async stop() {} } // without memory there are no schedules
  const { schedules } = plan
  const lease = createLease(driver.state, worker)
  const ticker = createTicker({ driver, session, own: new Set(schedules.map(({ name }) => name)) })
  const upkeep = createUpkeep({ driver, schedules, now: around.now, log, worker })
  let upkept = performance.now()
  let healthy = true
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let turning = Promise.resolve()

  /** Answers after how many milliseconds to look again. */
  async function turn(): Promise<number> {
    if (schedules.length > 0 && performance.now() - upkept >= UPKEEP_EVERY) {
      upkept = performance.now()
      await upkeep()
    }
    if (!lease.held) {
      if (await lease.taken()) return LOOK_EVERY
      const there = schedules.length > 0 || (await driver.state.list({ prefix: SCHEDULE_PREFIX })).length > 0
      if (!there) return LOOK_WHEN_EMPTY
    }
    if (!(await lease.hold())) return LOOK_EVERY
    const step = await ticker.step(around.now())
    if (step.schedules === 0) {
      await lease.giveBack()
      return LOOK_WHEN_EMPTY
    }
    return step.due === undefined ? LOOK_EVERY : Math.max(0, Math.min(LOOK_EVERY, step.due - around.now()))
  }

  async function watched(): Promise<void> {
    let wait = LOOK_EVERY
    try {
      wait = await turn()
      if (!healthy) log.info({ worker }, 'Schedules go on.')
      healthy = true
    } catch (error) {
      if (!stopped && healthy) log.warn({ worker, error: messageOf(error) }, 'Schedules wait for the store.')
      healthy = false
    }
    if (!stopped) turnIn(wait)
  }

  function turnIn(ms: number): void {
    timer = setTimeout(() => {
      turning = watched()
    }, ms).unref()
  }

  turnIn(0)
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await turning
      await lease.giveBack()
    },
  }
}
