// Cron: the next time that a pattern means, in a time zone. Arithmetic only: croner reads the pattern and finds the time, and
// never sets a timer.
import { Cron } from 'croner'
import { ConfigurationError, messageOf, shown } from './errors.js'

/** A pattern in a zone. */
export interface CronTimes {
  /** The first time after `after`, in epoch milliseconds; `undefined` when there is none before the year 3000. */
  next(after: number): number | undefined
}

/** Patterns are parsed once: of those in use there are few, and the oldest of many make room. */
const CACHED = 1_000
const cache = new Map<string, CronTimes>()

/**
 * Read a pattern of five fields (minute first) or six (second first) that means the wall clock of a zone.
 * @throws ConfigurationError that shows the pattern or the zone, and for a pattern that never fires
 */
export function parseCron(pattern: string, timezone: string): CronTimes {
  const key = `${timezone}\n${pattern}`
  const known = cache.get(key)
  if (known) return known
  const times = parsed(pattern, timezone)
  if (cache.size >= CACHED) cache.delete(cache.keys().next().value!)
  cache.set(key, times)
  return times
}

function parsed(pattern: string, timezone: string): CronTimes {
  if (typeof pattern !== 'string' || !/^(@\S+|\S+(\s+\S+){4,5})$/.test(pattern.trim()))
    throw notACron(
      pattern,
      'it has five fields (minute, hour, day of month, month, weekday), or six with the second first',
    )
  checkTimezone(timezone)
  const cron = makeCron(pattern, pattern, timezone)
  const times = makeCron(byNamedHours(pattern), pattern, timezone)
  if (cron.nextRun(new Date(0)) === null) throw notACron(pattern, 'it never fires: no such day is in the calendar')
  return { next: (after) => times.nextRun(new Date(after))?.getTime() }
}

function makeCron(pattern: string, shownPattern: string, timezone: string): Cron {
  try {
    return new Cron(pattern, { timezone, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' })
  } catch (error) {
    throw notACron(shownPattern, messageOf(error).replace(/^CronPattern: /, ''))
  }
}

/** @throws ConfigurationError for what is no IANA time zone. Offsets such as +01:00 are none: not every Node knows them. */
export function checkTimezone(timezone: string): string {
  try {
    if (typeof timezone !== 'string' || /^[+-]/.test(timezone)) throw new Error('no name')
    Intl.DateTimeFormat('en', { timeZone: timezone })
    return timezone
  } catch {
    throw new ConfigurationError(
      `timezone: ${shown(timezone)} is no time zone. Give its IANA name, such as "Europe/Berlin" or "UTC".`,
    )
  }
}

/**
 * What the change to and from summer time does to a pattern is decided by its hours. Every hour means as time passes: ticks
 * go on at their distance. Anything else names hours of the wall clock, and each named time happens once a day: when the
 * clock jumps over it, at the end of the jump, and when the clock shows it twice, the first time. croner goes by whether any
 * of second, minute and hour is a wildcard or a step, so those of a pattern that names hours are written out as lists.
 */
function byNamedHours(pattern: string): string {
  const fields = pattern.trim().split(/\s+/)
  const hour = fields.length - 4
  if (hour < 1) return pattern // a nickname
  const hours = writtenOut(fields[hour]!, 24)
  const everyHour = new Set(hours).size === 24
  return fields
    .map((field, i) => {
      if (i === hour) return everyHour ? '*' : hours
      return i > hour || everyHour ? field : writtenOut(field, 60)
    })
    .join(' ')
}

/** A step of 20 over 60 as 0, 20, 40: croner has checked the field already. */
function writtenOut(field: string, size: number): readonly number[] {
  return field.split(',').flatMap((part) => {
    const [range = '', step = '1'] = part.split('/')
    const [first, last = first] = /^[*?]$/.test(range) ? [0, size - 1] : range.split('-').map(Number)
    return Array.from({ length: Math.floor((last! - first!) / Number(step)) + 1 }, (_, i) => first! + i * Number(step))
  })
}

function notACron(pattern: unknown, why: string): ConfigurationError {
  return new ConfigurationError(
    `cron: ${shown(pattern)} is not allowed: ${why}. For example "0 3 * * *": daily at 03:00.`,
  )
}
