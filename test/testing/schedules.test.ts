// Schedules under a test client: its time makes them tick, in order with everything else that becomes due.
import { afterEach, describe, expect, it } from 'vitest'
import { defineTask, fixed, handle, schedule, unchecked, type Handler, type Tick } from '../../src/index.js'
import { createTestClient, runHandler, type TestClient } from '../../src/testing/index.js'

const START = new Date('2026-03-28T12:00:00Z')
const report = defineTask('report', { input: unchecked<{ day: string }>() })
const ping = defineTask('ping', { retry: { maxAttempts: 3, backoff: fixed('90m') } })

let open: TestClient[] = []
function client(...handlers: Handler[]): TestClient {
  const t = createTestClient({ now: START, worker: { handlers } })
  open.push(t)
  return t
}
afterEach(async () => {
  for (const t of open) await t.close()
  open = []
})

describe('advance', () => {
  it('makes the ticks of a function at their time, on the wall clock of its zone', async () => {
    const seen: { tick: Tick; at: Date; id: string }[] = []
    const t = client(
      schedule('nightly', { cron: '30 2 * * *', timezone: 'Europe/Berlin' }, (tick, ctx) => {
        seen.push({ tick, at: t.now(), id: ctx.job.id })
      }),
    )
    expect(await t.advance('12h')).toEqual({ completed: 0, dead: 0, retried: 0 })
    expect(await t.advance('1d')).toEqual({ completed: 1, dead: 0, retried: 0 })
    expect(await t.advance('1d')).toEqual({ completed: 1, dead: 0, retried: 0 })
    // 02:30 does not exist on 29 March: the tick comes when the gap ends.
    const [first, second] = [new Date('2026-03-29T01:00:00Z'), new Date('2026-03-30T00:30:00Z')]
    expect(seen).toEqual([
      {
        tick: { time: first, local: '2026-03-29T03:00:00' },
        at: first,
        id: 'schedule/nightly/2026-03-29T01:00:00.000Z',
      },
      {
        tick: { time: second, local: '2026-03-30T02:30:00', previous: first },
        at: second,
        id: 'schedule/nightly/2026-03-30T00:30:00.000Z',
      },
    ])
  })

  it('runs ticks, retries and delayed jobs in the order of their times', async () => {
    const order: string[] = []
    const at = (what: string) => void order.push(`${what} ${t.now().toISOString().slice(11, 16)}`)
    const t = client(
      schedule('hourly', { every: '1h' }, () => at('tick')),
      handle(report, () => at('report')),
      handle(ping, () => {
        at('ping')
        throw new Error('once more')
      }),
    )
    await t.enqueue(ping)
    await t.enqueue(report, { day: 'x' }, { delay: '150m' })
    await t.advance('3h')
    expect(order).toEqual([
      'ping 12:00',
      'tick 13:00',
      'ping 13:30',
      'tick 14:00',
      'report 14:30',
      'ping 15:00', // it was there before
      'tick 15:00',
    ])
  })

  it('enqueues the task with its input, or with what a function makes of the tick, and records it', async () => {
    const days: string[] = []
    const t = client(
      schedule('fixed', { cron: '@daily' }, report, { day: 'all' }),
      schedule('made', { cron: '0 1 * * *' }, report, ({ local }) => ({ day: local.slice(0, 10) })),
      handle(report, ({ day }) => void days.push(day)),
    )
    await t.advance('1d')
    expect(days).toEqual(['all', '2026-03-29'])
    expect(t.enqueued(report)).toEqual([
      {
        id: 'schedule/fixed/2026-03-29T00:00:00.000Z',
        input: { day: 'all' },
        options: { id: 'schedule/fixed/2026-03-29T00:00:00.000Z' },
      },
      {
        id: 'schedule/made/2026-03-29T01:00:00.000Z/task',
        input: { day: '2026-03-29' },
        options: { id: 'schedule/made/2026-03-29T01:00:00.000Z/task' },
      },
    ])
  })

  it("records no job that overlap 'skip' has kept out", async () => {
    const t = client(schedule('s', { every: '1h', overlap: 'skip' }, report, { day: 'x' }))
    await t.advance('3h') // nobody here runs reports
    expect(t.enqueued(report)).toHaveLength(1)
  })

  it('makes the ticks of schedules that were made at run time, and none of a paused one', async () => {
    let pings = 0
    const t = client(handle(ping, () => void pings++))
    await t.schedules.create('p', { every: '1h' }, ping)
    await t.advance('2h')
    await t.schedules.pause('p')
    await t.advance('5h')
    expect(pings).toBe(2)
    await t.schedules.resume('p')
    await t.advance('1h')
    expect(pings).toBe(3)
    await t.schedules.trigger('p')
    expect(await t.runAll()).toEqual({ completed: 1, dead: 0, retried: 0 })
  })

  it('delays by the whole jitter, so that a test comes out the same every time', async () => {
    const at: string[] = []
    const t = client(
      schedule('s', { every: '1h', jitter: '10m' }, () => void at.push(t.now().toISOString().slice(11, 16))),
    )
    await t.advance('2h')
    expect(at).toEqual(['13:10'])
  })
})

describe('runHandler', () => {
  it('gives a schedule its tick, with Dates, and fills in what is left out', async () => {
    const ticks: Tick[] = []
    const nightly = schedule('nightly', { cron: '0 3 * * *', timezone: 'Asia/Tokyo' }, (tick) => void ticks.push(tick))
    const time = new Date('2026-01-01T18:00:00Z')
    await runHandler(nightly, { time, local: '2026-01-02T03:00:00', previous: START })
    await runHandler(nightly, { time })
    expect(ticks).toEqual([
      { time, local: '2026-01-02T03:00:00', previous: START },
      { time, local: '2026-01-02T03:00:00' },
    ])
    await expect(runHandler(nightly, undefined)).rejects.toThrow(/\$\.time: a time is expected/)
    await expect(runHandler(nightly, { time, previous: 'soon' })).rejects.toThrow(/\$\.previous: a time is expected/)
  })

  it('enqueues what an input function makes', async () => {
    await using t = createTestClient()
    const made = schedule('made', { every: '1h' }, report, ({ local }) => ({ day: local.slice(0, 10) }))
    await runHandler(made, { time: START }, { enqueue: t.enqueue, job: { id: 'tick' } })
    expect(t.enqueued(report)).toEqual([
      { id: 'tick/task', input: { day: '2026-03-28' }, options: { id: 'tick/task' } },
    ])
  })

  it('says of a schedule that only enqueues a task that there is nothing to run', async () => {
    await expect(runHandler(schedule('s', { every: '1h' }, ping), undefined)).rejects.toThrow(
      /schedule "s" only enqueues a task/,
    )
  })
})
