// Rules: what is refused, when they tick, which of the ticks that are due are made, and what a tick is.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defineTask } from './task.js'
import {
  checkRule,
  dueTicks,
  nextTick,
  overlapKey,
  sameTimes,
  schedulePrefix,
  scheduleTask,
  tickId,
  tickOf,
  type PlainRule,
  type Rule,
} from './schedule.js'

const at = (text: string) => Date.parse(text)
const DAY = 86_400_000

describe('a rule', () => {
  it('is filled in with its defaults', () => {
    const rest = { missed: 'once', overlap: 'allow', jitter: 0 }
    expect(checkRule({ cron: '0 3 * * *' })).toEqual({ cron: '0 3 * * *', timezone: 'UTC', ...rest })
    expect(checkRule({ every: '5m' })).toEqual({ every: 300_000, ...rest })
    expect(checkRule({ at: new Date(5) })).toEqual({ at: 5, ...rest })
    expect(
      checkRule({ cron: '@daily', timezone: 'Asia/Tokyo', missed: 'all', overlap: 'skip', jitter: '10s' }),
    ).toEqual({ cron: '@daily', timezone: 'Asia/Tokyo', missed: 'all', overlap: 'skip', jitter: 10_000 })
  })

  it.each<[unknown, RegExp]>([
    [undefined, /The rule is undefined\. Give an object/],
    [null, /The rule is null/],
    ['0 3 * * *', /The rule is "0 3 \* \* \*"\. Give an object, such as/],
    [{}, /none of cron, every and at/],
    [{ cron: '@daily', every: '1m' }, /The rule has cron and every\. Give one/],
    [{ every: '1m', at: new Date(0) }, /The rule has every and at/],
    [{ cron: '@daily', colour: 'red' }, /there is no option "colour"/],
    [{ cron: '61 * * * *' }, /cron: "61 \* \* \* \*" is not allowed/],
    [{ cron: '@daily', timezone: 'Mars/Base' }, /timezone: "Mars\/Base" is no time zone/],
    [{ every: '1m', timezone: 'UTC' }, /timezone: "UTC" goes with cron only; every means/],
    [{ every: 999 }, /every: 999 is less than 1 second/],
    [{ every: '0s' }, /every: "0s" is less than 1 second/],
    [{ every: '53w' }, /every: 53w is more than 366 days/],
    [{ every: 'often' }, /every: "often" is no duration/],
    [{ at: new Date('never') }, /at: Invalid Date is no valid Date/],
    [{ at: new Date(-1) }, /no valid Date/],
    [{ at: new Date(Date.UTC(10_000, 0)) }, /no valid Date/],
    [{ at: '2026-01-01' }, /at: "2026-01-01" is no valid Date/],
    [{ every: '1m', missed: 'twice' }, /missed: "twice" is not allowed\. Use skip, once, all/],
    [{ every: '1m', overlap: 'queue' }, /overlap: "queue" is not allowed\. Use allow, skip/],
    [{ every: '1m', jitter: -1 }, /jitter: -1 is no duration/],
    [{ every: '1m', jitter: '60w' }, /jitter: 60w is more than 366 days/],
  ])('%j is refused', (rule, message) => {
    expect(() => checkRule(rule as Rule)).toThrow(message)
    expect(() => checkRule(rule as Rule)).toThrow(expect.objectContaining({ code: 'ERR_CONFIGURATION' }))
  })

  it('ticks at the same times as another, or not', () => {
    const daily = checkRule({ cron: '@daily' })
    expect(sameTimes(daily, checkRule({ cron: '@daily', missed: 'all', jitter: '1s' }))).toBe(true)
    expect(sameTimes(daily, checkRule({ cron: '@daily', timezone: 'Asia/Tokyo' }))).toBe(false)
    expect(sameTimes(daily, checkRule({ every: '1d' }))).toBe(false)
    expect(sameTimes(checkRule({ at: new Date(1) }), checkRule({ at: new Date(2) }))).toBe(false)
  })
})

describe('the next tick', () => {
  it('of an interval is a whole multiple since 1970, after the time given', () => {
    const rule = checkRule({ every: '7s' })
    expect([0, 1, 6_999, 7_000].map((time) => nextTick(rule, time))).toEqual([7_000, 7_000, 7_000, 14_000])
  })

  it('of one time is that time, once', () => {
    const rule = checkRule({ at: new Date(5_000) })
    expect([4_999, 5_000].map((time) => nextTick(rule, time))).toEqual([5_000, undefined])
  })

  it('of a cron is on the wall clock of its zone', () => {
    const rule = checkRule({ cron: '0 3 * * *', timezone: 'Europe/Berlin' })
    expect(nextTick(rule, at('2026-07-01T00:00:00Z'))).toBe(at('2026-07-01T01:00:00Z'))
  })
})

describe('ticks that are due', () => {
  const rule = (missed: PlainRule['missed']) => checkRule({ every: '10s', missed })

  it('one that is due is made, whatever becomes of missed ones', () => {
    for (const missed of ['once', 'all', 'skip'] as const)
      expect(dueTicks(rule(missed), 10_000, 10_005, 100)).toEqual({ ticks: [10_000], next: 20_000 })
  })

  it('of several, "once" makes the last', () => {
    expect(dueTicks(rule('once'), 10_000, 45_000, 100)).toEqual({ ticks: [40_000], next: 50_000 })
    expect(dueTicks(rule('once'), 10_000, 10 * 365 * DAY, 100).ticks).toEqual([10 * 365 * DAY])
  })

  it('"all" makes every one, so many at a time', () => {
    expect(dueTicks(rule('all'), 10_000, 45_000, 3)).toEqual({ ticks: [10_000, 20_000, 30_000], next: 40_000 })
    expect(dueTicks(rule('all'), 40_000, 45_000, 3)).toEqual({ ticks: [40_000], next: 50_000 })
  })

  it('"skip" makes the last if it is less than a minute late, and none otherwise', () => {
    const daily = checkRule({ cron: '0 3 * * *', missed: 'skip' })
    const three = at('2026-01-03T03:00:00Z')
    expect(dueTicks(daily, three - 2 * DAY, three + 59_999, 9)).toEqual({ ticks: [three], next: three + DAY })
    expect(dueTicks(daily, three - 2 * DAY, three + 60_000, 9)).toEqual({ ticks: [], next: three + DAY })
  })

  it('the only tick of a rule leaves nothing over', () => {
    for (const missed of ['once', 'all'] as const)
      expect(dueTicks(checkRule({ at: new Date(5_000), missed }), 5_000, 9_000, 9)).toEqual({
        ticks: [5_000],
        next: undefined,
      })
    expect(dueTicks(checkRule({ at: new Date(5_000), missed: 'skip' }), 5_000, 99_000, 9).ticks).toEqual([])
  })

  it('"once" makes the very tick that "all" makes last, in whatever zone and year', () => {
    const crons = fc.constantFrom(
      '*/7 * * * *',
      '30 2 * * *',
      '0 9 * * MON-FRI',
      '15,45 1-3 * * *',
      '0 0 L * *',
      '@hourly',
    )
    const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Havana')
    const rules = fc.oneof(
      fc.tuple(crons, zones).map(([cron, timezone]): Rule => ({ cron, timezone })),
      fc.integer({ min: 1_000, max: 3 * DAY }).map((every): Rule => ({ every })),
    )
    const from = fc.integer({ min: 0, max: at('2037-01-01T00:00:00Z') })
    fc.assert(
      fc.property(rules, from, fc.integer({ min: 0, max: 10 * DAY }), (given, time, later) => {
        const [once, all] = [checkRule(given), checkRule({ ...given, missed: 'all' })]
        const first = nextTick(once, time)!
        const now = first + (given.every === undefined ? later : Math.min(later, 1_000 * (given.every as number)))
        const every = dueTicks(all, first, now, Infinity)
        const last = dueTicks(once, first, now, 1)
        expect(last).toEqual({ ticks: [every.ticks.at(-1)], next: every.next })
        expect(every.next! > now).toBe(true)
        expect(every.ticks.every((tick, i) => i === 0 || tick > every.ticks[i - 1]!)).toBe(true)
      }),
      { numRuns: 200 },
    )
  }, 60_000)
})

describe('a tick', () => {
  it('has its time, what the wall clock shows then, and the one before', () => {
    const rule = checkRule({ cron: '0 3 * * *', timezone: 'Europe/Berlin' })
    const time = at('2026-11-23T02:00:00Z')
    expect(tickOf(rule, time, undefined)).toEqual({ time: new Date(time), local: '2026-11-23T03:00:00' })
    expect(tickOf(rule, time, time - DAY).previous).toEqual(new Date(time - DAY))
    expect(tickOf(checkRule({ every: '1m' }), 0, undefined).local).toBe('1970-01-01T00:00:00')
    const midnight = checkRule({ cron: '@daily', timezone: 'America/New_York' })
    expect(tickOf(midnight, at('2026-01-01T05:00:00Z'), undefined).local).toBe('2026-01-01T00:00:00')
  })

  it('gives its job an id, and the schedule its task and key', () => {
    expect(tickId('report', at('2026-11-23T02:00:00Z'))).toBe('schedule/report/2026-11-23T02:00:00.000Z')
    expect(schedulePrefix('report')).toBe('schedule/report/')
    expect(() => defineTask('schedule:report')).toThrow(/"schedule:report" is not allowed/)
    expect([overlapKey('report'), scheduleTask('report')]).toEqual(['schedule/report', 'schedule:report'])
  })
})
