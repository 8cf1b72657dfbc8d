// What the doctor says of schedules.
import { describe, expect, it } from 'vitest'
import { checkSchedules } from './schedule-findings.js'
import type { ScheduleInfo } from './types.js'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const one = (o: Partial<ScheduleInfo> = {}): ScheduleInfo => ({
  name: 'nightly',
  cron: '0 3 * * *',
  timezone: 'UTC',
  missed: 'once',
  overlap: 'allow',
  jitter: 0,
  task: 'report',
  queue: 'default',
  next: new Date(NOW + 60_000),
  paused: false,
  from: 'code',
  live: true,
  ...o,
})
const late = new Date(NOW - 60_001)
const of = (schedule: ScheduleInfo, working = true) =>
  checkSchedules([schedule], NOW, working)
    .filter(({ level }) => level !== 'ok')
    .map(({ level, code }) => `${level} ${code}`)

describe('a schedule', () => {
  it('that is well is counted, and no schedule is nothing to tell', () => {
    expect(checkSchedules([one(), one({ paused: true })], NOW, true)).toEqual([
      { code: 'schedules', level: 'ok', message: '2 schedules, 1 of them paused.', facts: { schedules: 2, paused: 1 } },
    ])
    expect(checkSchedules([], NOW, true)).toEqual([])
  })

  it('that no live worker declares does not tick', () => {
    expect(of(one({ live: false }))).toEqual(['warning schedule-undeclared'])
    expect(of(one({ live: false, next: late }))).toEqual(['warning schedule-undeclared'])
    expect(of(one({ live: false, previous: new Date(NOW + 999_999) }))).toEqual(['warning schedule-undeclared'])
    const { next: _over, ...done } = one({ live: false })
    expect(of(done)).toEqual([])
  })

  it('that has ticked ahead of its time waits until then', () => {
    expect(of(one({ previous: new Date(NOW + 60_001) }))).toEqual(['error schedule-ahead'])
    expect(of(one({ previous: new Date(NOW + 60_000) }))).toEqual([])
  })

  it('whose tick is late by more than a minute is in trouble, if somebody should have made it', () => {
    expect(of(one({ next: late }))).toEqual(['error schedule-late'])
    expect(of(one({ next: new Date(NOW - 60_000) }))).toEqual([])
    expect(of(one({ next: late }), false)).toEqual([])
    expect(of(one({ next: late, paused: true }))).toEqual([])
    expect(checkSchedules([one({ next: late })], NOW, true)[0]).toMatchObject({
      message: 'Schedule "nightly" should have ticked 1m ago, and no worker has made the tick.',
      facts: { schedule: 'nightly', task: 'report', next: late.toISOString(), lateMs: 60_001 },
    })
  })
})
