// Schedules: rules that say when, and what their ticks are. Pure; times go in and come out.
import { checkTimezone, parseCron } from './cron.js'
import { formatDuration, toMs, type Duration } from './duration.js'
import type { UniqueClaim } from './envelope.js'
import { ConfigurationError, shown } from './errors.js'
import { refuseUnknown } from './task.js'

/** When a schedule ticks, and what becomes of ticks that nobody could make in time. */
export type Rule = (
  | {
      /** Five fields (minute first) or six (second first), `L`, `W`, `#`, `@daily` and the like. */
      cron: string
      /** IANA time zone of the wall clock that the cron means; default UTC. */
      timezone?: string
      every?: never
      at?: never
    }
  | {
      /**
       * A tick at each whole multiple of this since 1970-01-01T00:00Z: the same on every machine, after every restart. From
       * 1 second to 366 days.
       */
      every: Duration
      cron?: never
      timezone?: never
      at?: never
    }
  | {
      /** One tick, at this time. */
      at: Date
      cron?: never
      timezone?: never
      every?: never
    }
) & {
  /**
   * Ticks that passed while no worker could make them. `once` (default): the last of them is made up for. `all`: every one.
   * `skip`: none, but for the last if it is less than a minute late.
   */
  missed?: 'skip' | 'once' | 'all'
  /** `skip`: no job for a tick while the job of an earlier one has not finished. Default `allow`. */
  overlap?: 'allow' | 'skip'
  /** Each job is due so much later than its tick at most, by chance, so that many schedules do not start at once. */
  jitter?: Duration
}

/** One time at which a schedule is due. */
export interface Tick {
  time: Date
  /** Wall clock in the schedule's zone: `'2026-11-23T03:00:00'`. */
  local: string
  /** The tick that was made before, if there was one. */
  previous?: Date
}

/** A rule as it is stored: checked, with its defaults; times in milliseconds. */
export type PlainRule = (
  | { readonly cron: string; readonly timezone: string; readonly every?: never; readonly at?: never }
  | { readonly every: number; readonly cron?: never; readonly timezone?: never; readonly at?: never }
  | { readonly at: number; readonly cron?: never; readonly timezone?: never; readonly every?: never }
) & {
  readonly missed: 'skip' | 'once' | 'all'
  readonly overlap: 'allow' | 'skip'
  readonly jitter: number
}

/** What each tick enqueues, as plain data: any worker can make the tick. Times in milliseconds. */
export interface TickJob {
  readonly task: string
  readonly queue: string
  readonly priority: number
  readonly expires?: number
  readonly retention: { readonly completed?: number; readonly dead?: number }
  /** The input of every job as JSON text (`''`: none); left out, the tick itself as JSON. */
  readonly body?: string
  readonly unique?: UniqueClaim
  readonly group?: string
  /** The task that the job's handler enqueues in its turn, with an input made of the tick. */
  readonly leadsTo?: string
}

/** When, and what. */
export interface ScheduleDefinition {
  readonly rule: PlainRule
  readonly job: TickJob
}

/** A schedule as code declares it. */
export interface ScheduleDeclaration {
  readonly name: string
  readonly definition: ScheduleDefinition
}

const SHORTEST = 1_000
const LONGEST = 366 * 86_400_000
/** The last year that a Date of ours may have, so that its text has four digits of year. */
const LAST_TIME = Date.UTC(9999, 11, 31)
/** With `missed: 'skip'` a tick that is later than this is missed. */
const LATE = 60_000

export const RULE_OPTIONS = ['cron', 'timezone', 'every', 'at', 'missed', 'overlap', 'jitter']

/** @throws ConfigurationError that names the option and the value */
export function checkRule(rule: Rule): PlainRule {
  if (typeof rule !== 'object' || rule === null)
    throw new ConfigurationError(
      `The rule is ${shown(rule)}. Give an object, such as { cron: '0 3 * * *' } or { every: '5m' }.`,
    )
  refuseUnknown('The rule', rule, RULE_OPTIONS)
  const given = (['cron', 'every', 'at'] as const).filter((key) => rule[key] !== undefined)
  if (given.length !== 1)
    throw new ConfigurationError(
      `The rule has ${given.length === 0 ? 'none of cron, every and at' : given.join(' and ')}. Give one of cron, every and at.`,
    )
  const { timezone } = rule as { timezone?: unknown }
  if (timezone !== undefined && rule.cron === undefined)
    throw new ConfigurationError(
      `timezone: ${shown(timezone)} goes with cron only; ${given[0]} means the same time in every zone.`,
    )
  const jitter = rule.jitter === undefined ? 0 : toMs(rule.jitter, 'jitter')
  if (jitter > LONGEST) throw tooLong('jitter', jitter)
  return {
    ...timesOf(rule),
    missed: oneOf('missed', rule.missed ?? 'once', ['skip', 'once', 'all']),
    overlap: oneOf('overlap', rule.overlap ?? 'allow', ['allow', 'skip']),
    jitter,
  }
}

function timesOf(
  rule: Rule,
): { readonly cron: string; readonly timezone: string } | { readonly every: number } | { readonly at: number } {
  if (rule.cron !== undefined) {
    const { cron, timezone = 'UTC' } = rule
    parseCron(cron, timezone)
    return { cron, timezone }
  }
  if (rule.every !== undefined) {
    const every = toMs(rule.every, 'every')
    if (every < SHORTEST)
      throw new ConfigurationError(`every: ${shown(rule.every)} is less than 1 second, the shortest interval.`)
    if (every > LONGEST) throw tooLong('every', every)
    return { every }
  }
  const at = rule.at instanceof Date ? rule.at.getTime() : Number.NaN
  if (!(at >= 0 && at <= LAST_TIME))
    throw new ConfigurationError(`at: ${rule.at instanceof Date ? String(rule.at) : shown(rule.at)} is no valid Date.`)
  return { at }
}

const tooLong = (option: string, ms: number) =>
  new ConfigurationError(`${option}: ${formatDuration(ms)} is more than 366 days, the longest that is allowed.`)

function oneOf<W extends string>(option: string, word: W, words: readonly W[]): W {
  if (words.includes(word)) return word
  throw new ConfigurationError(`${option}: ${shown(word)} is not allowed. Use ${words.join(', ')}.`)
}

/** Whether both tick at the same times, whatever else differs. */
export function sameTimes(a: PlainRule, b: PlainRule): boolean {
  return a.cron === b.cron && a.timezone === b.timezone && a.every === b.every && a.at === b.at
}

/** The first tick after a time; `undefined` when there is none any more. Epoch milliseconds. */
export function nextTick(rule: PlainRule, after: number): number | undefined {
  if (rule.cron !== undefined) return parseCron(rule.cron, rule.timezone).next(after)
  if (rule.every !== undefined) return (Math.floor(after / rule.every) + 1) * rule.every
  return rule.at > after ? rule.at : undefined
}

/**
 * The ticks that are to be made now, of those from `first` (a tick) up to now, and the first tick that is left over. At most
 * `limit` at a time.
 */
export function dueTicks(
  rule: PlainRule,
  first: number,
  now: number,
  limit: number,
): { readonly ticks: readonly number[]; readonly next: number | undefined } {
  if (rule.missed !== 'all') {
    const last = lastTick(rule, first, now)
    return { ticks: rule.missed === 'skip' && now - last >= LATE ? [] : [last], next: nextTick(rule, last) }
  }
  const ticks: number[] = []
  let next: number | undefined = first
  for (; next !== undefined && next <= now && ticks.length < limit; next = nextTick(rule, next)) ticks.push(next)
  return { ticks, next }
}

/** The last tick up to now, found by halving: after a year of downtime there may be millions. `first` is one of them. */
function lastTick(rule: PlainRule, first: number, now: number): number {
  let [last, none] = [first, now] // none: no tick lies after it, up to now
  for (;;) {
    const next = nextTick(rule, last)
    if (next === undefined || next > now) return last
    last = next
    const middle = Math.floor((last + none) / 2)
    const there = nextTick(rule, middle)
    if (there !== undefined && there <= now) last = there
    else none = middle
  }
}

/** The id of a tick's job. */
export const tickId = (schedule: string, time: number): string =>
  `${schedulePrefix(schedule)}${new Date(time).toISOString()}`

/** What the ids of a schedule's jobs begin with. */
export const schedulePrefix = (schedule: string): string => `schedule/${schedule}/`

/** The unique key of a schedule whose jobs must not overlap. */
export const overlapKey = (schedule: string): string => `schedule/${schedule}`

/** The task of a schedule's own handler, and its own queue's name. */
export const scheduleTask = (schedule: string): string => `schedule:${schedule}`

/** A tick of a rule. */
export function tickOf(rule: PlainRule, time: number, previous: number | undefined): Tick {
  return {
    time: new Date(time),
    local: localTime(time, rule.timezone ?? 'UTC'),
    ...(previous !== undefined && { previous: new Date(previous) }),
  }
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** What a clock on a wall of the zone shows: `'2026-11-23T03:00:00'`. */
function localTime(time: number, timezone: string): string {
  const format = formats.get(timezone) ?? makeFormat(checkTimezone(timezone))
  formats.set(timezone, format)
  const parts = new Map(format.formatToParts(time).map(({ type, value }) => [type, value]))
  const [year, month, day] = ['year', 'month', 'day'].map((type) => parts.get(type as 'year')!)
  const [hour, minute, second] = ['hour', 'minute', 'second'].map((type) => parts.get(type as 'hour')!)
  return `${year!.padStart(4, '0')}-${month}-${day}T${hour}:${minute}:${second}`
}

function makeFormat(timeZone: string): Intl.DateTimeFormat {
  const two = '2-digit'
  return new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: two,
    day: two,
    hour: two,
    minute: two,
    second: two,
  })
}
