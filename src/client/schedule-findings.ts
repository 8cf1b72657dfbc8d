// What is wrong with schedules, by what one look at a store has shown. Pure, as findings.ts is.
import { formatDuration } from '../core/duration.js'
import type { Finding } from '../driver/driver.js'
import { count } from './findings.js'
import type { ScheduleInfo } from './types.js'

/** A tick that nobody has made for so long is late. */
const LATE = 60_000
/** Clocks of machines differ by less. */
const AHEAD = 60_000

/** @param working whether a worker is live, which therefore should make the ticks */
export function checkSchedules(schedules: readonly ScheduleInfo[], now: number, working: boolean): readonly Finding[] {
  const found = schedules.flatMap((one): Finding[] => {
    const { name, task, next } = one
    const facts = { schedule: name, task, ...(next && { next: next.toISOString() }) }
    if (!one.live && next)
      return [
        {
          code: 'schedule-undeclared',
          level: 'warning',
          message: `No live worker declares schedule "${name}", so it does not tick.`,
          advice: `Start the worker whose code has it. If it was taken out of the code: millrace schedules remove ${name}`,
          facts,
        },
      ]
    const aheadMs = one.previous ? one.previous.getTime() - now : 0
    if (aheadMs > AHEAD)
      return [
        {
          code: 'schedule-ahead',
          level: 'error',
          message: `Schedule "${name}" has made a tick that lies ${formatDuration(aheadMs)} ahead, and does not tick until then.`,
          advice: `The clock of a worker was wrong. Once it is right: millrace schedules pause ${name}, then resume it.`,
          facts: { ...facts, aheadMs },
        },
      ]
    const lateMs = next ? now - next.getTime() : 0
    if (one.paused || !working || lateMs <= LATE) return []
    return [
      {
        code: 'schedule-late',
        level: 'error',
        message: `Schedule "${name}" should have ticked ${formatDuration(lateMs)} ago, and no worker has made the tick.`,
        advice: 'The log of the workers says why: look for "could not tick" and "wait for the store".',
        facts: { ...facts, lateMs },
      },
    ]
  })
  if (schedules.length === 0) return found
  const paused = schedules.filter((one) => one.paused).length
  const message = `${count(schedules.length, 'schedule')}, ${paused} of them paused.`
  return [...found, { code: 'schedules', level: 'ok', message, facts: { schedules: schedules.length, paused } }]
}
