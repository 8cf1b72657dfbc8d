// Makes ticks: finds the schedules that are due, and in one step for each moves its cursor and keeps its jobs. Without timers
// and without a lease: whoever calls it, also at the same time as others, each tick comes to be once.
import { hasCode, messageOf } from '../core/errors.js'
import { dueTicks, tickId } from '../core/schedule.js'
import {
  SCHEDULE_PREFIX,
  declaredNames,
  jobOf,
  nameOf,
  recordOf,
  writeSchedule,
  type ScheduleRecord,
} from '../client/schedule-record.js'
import type { Session } from '../client/session.js'
import type { Entry, StatefulDriver } from '../driver/driver.js'

export interface Ticker {
  /** Make the ticks that are due. Rejects when the store does not answer. */
  step(now: number): Promise<Step>
}

export interface Step {
  /** When the next tick is due; at once, when a batch has left some over. Left out: nothing is to come. */
  readonly due?: number
  /** How many schedules there are. */
  readonly schedules: number
}

/** A schedule as it was read. */
type Found = readonly [Entry, ScheduleRecord]

/** Schedules that tick at the same time: a driver may write what they do together. */
const AT_ONCE = 50
/** Ticks of one schedule that are made in one step, so that none that makes up for many keeps the others waiting. */
const BATCH = 100

/** @param own names that the code of this worker declares, which therefore may tick */
export function createTicker(o: {
  readonly driver: Pick<StatefulDriver<any>, 'state' | 'workers'>
  readonly session: Pick<Session<any>, 'around' | 'keep' | 'log'>
  readonly own: ReadonlySet<string>
}): Ticker {
  const { state, workers } = o.driver
  const { log } = o.session
  /** Read again only when they change: there may be many, and this is asked every second. */
  let parsed: ReadonlyMap<string, { readonly version: number; readonly record: ScheduleRecord }> = new Map()
  /** What the log was told of already. */
  const told = new Map<string, string>()

  function read(entries: readonly Entry[]): readonly Found[] {
    const records = entries.flatMap((entry) => {
      const known = parsed.get(entry.key)
      if (known?.version === entry.version) return [[entry, known.record] as const]
      try {
        return [[entry, recordOf(entry)] as const]
      } catch (error) {
        tell(nameOf(entry), error)
        return []
      }
    })
    parsed = new Map(records.map(([{ key, version }, record]) => [key, { version, record }]))
    return records
  }

  function tell(name: string, error: unknown): void {
    const message = messageOf(error)
    if (told.get(name) !== message) log.error({ schedule: name, error: message }, 'A schedule could not tick.')
    told.set(name, message)
  }

  /** Answers the cursor afterwards; now, when it is to be looked at again. */
  async function make(entry: Entry, record: ScheduleRecord, now: number, limit: number): Promise<number | undefined> {
    const name = nameOf(entry)
    const { ticks, next } = dueTicks(record.rule, record.next!, now, limit)
    const publish = ticks.map((time, i) =>
      jobOf(o.session, {
        id: tickId(name, time),
        name,
        definition: record,
        time,
        previous: ticks[i - 1] ?? record.previous,
        jitter: true,
      }),
    )
    const { next: _was, ...rest } = record
    const previous = ticks.at(-1) ?? record.previous
    const moved: ScheduleRecord = {
      ...rest,
      ...(next !== undefined && { next }),
      ...(previous !== undefined && { previous }),
    }
    const write = { name, record: moved, expect: entry.version }
    try {
      return (await writeSchedule(state, { ...write, publish })) ? next : now
    } catch (error) {
      if (!hasCode(error, 'ERR_JOB_CONFLICT')) throw error
      if (ticks.length > 1) return make(entry, record, now, 1)
      // Made before, when the schedule had another task: a tick is made once.
      log.warn({ schedule: name, job: tickId(name, ticks[0]!) }, 'A tick was made already, for another task.')
      return (await writeSchedule(state, write)) ? next : now
    }
  }

  /** Answers the cursor afterwards, and `undefined` also when the schedule cannot tick. */
  async function tick(entry: Entry, record: ScheduleRecord, now: number): Promise<number | undefined> {
    const name = nameOf(entry)
    try {
      const next = await make(entry, record, now, BATCH)
      told.delete(name)
      return next
    } catch (error) {
      if (hasCode(error, 'ERR_BROKER_UNAVAILABLE') || hasCode(error, 'ERR_CLIENT_CLOSED')) throw error
      tell(name, error) // it must not keep the others
      return undefined
    }
  }

  /** Those that may tick: of code whose worker is gone nobody has the handler. */
  async function allowed(due: readonly Found[]): Promise<readonly Found[]> {
    const isOurs = ([entry, record]: Found) => record.from === 'runtime' || o.own.has(nameOf(entry))
    if (due.every(isOurs)) return due
    const declared = declaredNames(await workers.list())
    return due.filter((one) => isOurs(one) || declared.has(nameOf(one[0])))
  }

  return {
    async step(now) {
      const records = read(await state.list({ prefix: SCHEDULE_PREFIX }))
      const waiting = records.filter(([, record]) => !record.paused && record.next !== undefined)
      const due = await allowed(waiting.filter(([, record]) => record.next! <= now))
      const cursors: (number | undefined)[] = waiting.map(([, { next }]) => next).filter((next) => next! > now)
      for (let at = 0; at < due.length; at += AT_ONCE)
        cursors.push(
          ...(await Promise.all(due.slice(at, at + AT_ONCE).map(([entry, record]) => tick(entry, record, now)))),
        )
      const next = Math.min(...cursors.filter((cursor) => cursor !== undefined))
      return { schedules: records.length, ...(next < Infinity && { due: next }) }
    },
  }
}
