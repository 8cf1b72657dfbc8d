// How a tick that has travelled as JSON becomes what a handler receives.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { tickOf, type PlainRule, type Tick } from '../core/schedule.js'

/** A schema of ticks: times as text, which is what travels, or as Dates. For tests, all but `time` may be left out. */
export function tickSchema(rule: PlainRule): StandardSchemaV1<unknown, Tick> {
  function validate(value: unknown): StandardSchemaV1.Result<Tick> {
    const { time, previous } = (typeof value === 'object' && value !== null ? value : {}) as Partial<
      Record<keyof Tick, unknown>
    >
    const [at, before] = [millisecondsOf(time), millisecondsOf(previous)]
    if (at === undefined) return { issues: [{ path: ['time'], message: 'a time is expected' }] }
    if (previous !== undefined && before === undefined)
      return { issues: [{ path: ['previous'], message: 'a time is expected' }] }
    return { value: tickOf(rule, at, before) }
  }
  return { '~standard': { version: 1, vendor: 'millrace', validate } }
}

function millisecondsOf(time: unknown): number | undefined {
  const ms = time instanceof Date || typeof time === 'string' ? new Date(time).getTime() : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
