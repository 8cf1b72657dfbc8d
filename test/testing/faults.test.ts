// Faults: each strikes where it says, on any driver, and what comes of it is what a real failure would leave behind.
import { afterEach, describe, expect, it } from 'vitest'
import {
  createClient,
  defineEvent,
  defineTask,
  fixed,
  handle,
  on,
  unchecked,
  type Context,
  type Task,
} from '../../src/index.js'
import { newId } from '../../src/core/id.js'
import type { JobRecord } from '../../src/driver/index.js'
import { memory } from '../../src/drivers/memory/index.js'
import {
  conformanceCases,
  createTestClient,
  runCase,
  withFaults,
  type Fault,
  type Harness,
} from '../../src/testing/index.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { sqliteHarness } from '../support/sqlite.js'

const memoryHarness: Harness = {
  name: 'memory',
  async create() {
    return { open: () => memory(), destroy: async () => {} }
  },
}
const work = defineTask('work', { output: unchecked<number>(), retry: { maxAttempts: 3, backoff: fixed(0) } })
const other = defineTask('other')

let ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.reverse()) await end()
  ends = []
})

describe.each([memoryHarness, sqliteHarness])('on $name, with a client and a worker', (harness) => {
  /** A client and worker over a driver with faults; `calls` are the runs of the handler. */
  async function start(faults: readonly Fault[], fn: (ctx: Context) => unknown = () => {}) {
    const place = await harness.create()
    ends.push(() => place.destroy())
    const driver = withFaults(place.open({}), faults)
    const client = createClient(driver, { log: SILENT })
    ends.push(() => client.close())
    const calls: Context['job'][] = []
    const handlers = [
      handle(work, async (_, ctx) => {
        calls.push(ctx.job)
        await fn(ctx)
        return calls.length
      }),
      handle(other, () => {}),
    ]
    const worker = await client.work({ handlers })
    const recordOf = async (id: string): Promise<JobRecord> => (await driver.jobs!.get({ ids: [id] }))[0]!
    return { client, driver, worker, calls, recordOf }
  }

  it('a crash before the ack: the handler runs again, as a suspect, and its first result is nowhere', async () => {
    const { client, driver, calls, recordOf } = await start([{ at: 'ack', do: 'crash' }])
    const job = await client.enqueue(work)
    expect(await job.result()).toBe(2)
    expect(calls.map(({ attempt, crashes }) => [attempt, crashes])).toEqual([
      [1, 0],
      [1, 0], // a crash spends no attempt
    ])
    expect(await recordOf(job.id)).toMatchObject({ state: 'completed', run: 2, attempt: 1, crashes: 0 })
    expect(driver.pendingFaults()).toEqual([])
  })

  it('a crash after the ack: the job stays done', async () => {
    const { client, calls, recordOf } = await start([{ at: 'ack', do: 'crash', when: 'after' }])
    const job = await client.enqueue(work)
    expect(await job.result()).toBe(1)
    expect(await (await client.enqueue(work)).result()).toBe(2) // the worker is there again
    expect(calls).toHaveLength(2)
    expect(await recordOf(job.id)).toMatchObject({ state: 'completed', run: 1 })
  })

  it('a poison job: crashes that happen after a written start are counted, and bury it', async () => {
    const { client, calls } = await start([{ at: 'ack', do: 'crash', times: 4 }])
    const job = await client.enqueue(work)
    await expect(job.result()).rejects.toMatchObject({ reason: 'crashed' })
    expect(calls.map(({ crashes }) => crashes)).toEqual([0, 0, 1, 2])
  })

  it('a crash takes along everything that its worker had in hand', async () => {
    const signals: AbortSignal[] = []
    let both!: () => void
    const together = new Promise<void>((resolve) => (both = resolve))
    const { client, calls } = await start([{ at: 'ack', do: 'crash' }], async (ctx) => {
      if (signals.push(ctx.signal) > 2) return
      if (signals.length === 2) both()
      await together
      if (ctx.signal === signals[1]) await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    })
    const jobs = await client.enqueueMany(work, [undefined, undefined])
    for (const job of jobs) await job.result()
    expect(signals[1]!.reason).toMatchObject({ code: 'ERR_LEASE_LOST' })
    expect(calls).toHaveLength(4)
  })

  it.each(['before', 'after'] as const)('a crash %s a retry or a burial', async (when) => {
    const { client, calls, recordOf } = await start(
      [
        { at: 'retry', do: 'crash', when },
        { at: 'dead', do: 'crash', when },
      ],
      () => Promise.reject(new Error('no')),
    )
    const job = await client.enqueue(work)
    await expect(job.result()).rejects.toMatchObject({ reason: 'failed' })
    // Lost before it was written, an attempt is as good as never made. (The second may be in hand already at the crash.)
    const made = (n: number) => calls.filter(({ attempt }) => attempt === n).length
    expect([made(1), made(3), made(4)]).toEqual(when === 'before' ? [2, 2, 0] : [1, 1, 0])
    expect((await recordOf(job.id)).errors).toHaveLength(3)
  })

  it('a crash in the middle of a handler that enqueues: what it did before stays, and nothing comes after', async () => {
    const codes: string[] = []
    const attempt = async (call: () => Promise<unknown>) =>
      call().catch((error: { code: string }) => void codes.push(error.code))
    const { client, calls } = await start([{ at: 'publish', do: 'crash', when: 'after', task: other }], async (ctx) => {
      if (calls.length > 1) return
      await attempt(() => ctx.enqueue(other, undefined, { id: 'first' }))
      await attempt(() => ctx.enqueue(other, undefined, { id: 'second' }))
    })
    const job = await client.enqueue(work)
    expect(await job.result()).toBe(2)
    expect(codes[0]).toBe('ERR_LEASE_LOST')
    expect(await client.jobs.get('first')).toMatchObject({ name: 'other' })
  })

  it.each([
    ['before', 'not-sent', 'fail'],
    ['after', 'unknown', 'fail'],
    ['before', 'not-sent', 'crash'],
    ['after', 'unknown', 'crash'],
  ] as const)('a publish that fails %s it is kept (%s, %s) is safe to repeat', async (when, outcome, what) => {
    const { client } = await start([{ at: 'publish', do: what, when }])
    await expect(client.enqueue(other, undefined, { id: 'mine', delay: '1h' })).rejects.toMatchObject({
      code: 'ERR_BROKER_UNAVAILABLE',
      outcome,
      ids: ['mine'],
    })
    expect((await client.jobs.get('mine'))?.state).toBe(when === 'after' ? 'scheduled' : undefined)
    const again = await client.enqueue(other, undefined, { id: 'mine', delay: '1h' })
    expect(again.duplicate).toBe(when === 'after')
  })

  it('a publish that is sent twice makes one job', async () => {
    const { client, driver } = await start([{ at: 'publish', do: 'duplicate' }])
    const job = await client.enqueue(other, undefined, { delay: '1h' })
    expect([job.duplicate, (await client.jobs.list()).jobs.length, driver.pendingFaults()]).toEqual([false, 1, []])
  })

  it('a settle that fails is repeated, and the handler does not run again for it', async () => {
    const { client, calls } = await start([
      { at: 'ack', do: 'fail', times: 1 },
      { at: 'ack', do: 'fail', when: 'after' },
    ])
    expect(await (await client.enqueue(work)).result()).toBe(1)
    expect(calls).toHaveLength(1)
  })

  it('a delivery is lost on its way, to a worker that dies, late, and twice', async () => {
    const { client, driver, calls, recordOf } = await start([
      { at: 'delivery', do: 'fail' },
      { at: 'delivery', do: 'crash' },
      { at: 'delivery', do: { delay: 5 } },
      { at: 'delivery', do: 'duplicate' },
    ])
    const job = await client.enqueue(work)
    expect(await job.result()).toBe(2)
    // Runs 1 and 2 never began, 3 came late and its ack was lost.
    expect(calls).toHaveLength(2)
    expect(await recordOf(job.id)).toMatchObject({ run: 4, attempt: 1, crashes: 0, suspect: false })
    expect(driver.pendingFaults()).toEqual([])
  })

  it('a worker that stops gives back what was still on its way', async () => {
    const { client, worker, driver } = await start([{ at: 'delivery', do: { delay: '1h' } }])
    const job = await client.enqueue(work)
    await new Promise<void>((resolve) => {
      const look = async () => {
        if (driver.pendingFaults().length === 0) resolve()
        else setImmediate(() => void look())
      }
      void look()
    })
    await worker.stop()
    expect(await job.info()).toMatchObject({ state: 'ready', attempt: 0, suspect: false })
  })
})

describe('in a test client', () => {
  it('a handler that must not run twice is found out', async () => {
    let charged = 0
    const paid = new Set<string>()
    const charge = defineTask('charge', { input: unchecked<{ order: string; safe: boolean }>() })
    await using t = createTestClient({
      faults: [{ at: 'delivery', do: 'duplicate', task: charge, times: 2 }],
      worker: {
        handlers: [
          handle(charge, ({ order, safe }) => {
            if (safe && paid.has(order)) return
            paid.add(order)
            charged += 1
          }),
        ],
      },
    })
    await t.enqueue(charge, { order: 'A', safe: false })
    expect(await t.runAll()).toEqual({ completed: 1, dead: 0, retried: 0 })
    expect(charged).toBe(2)
    await t.enqueue(charge, { order: 'B', safe: true })
    await t.runAll()
    expect(charged).toBe(3)
    expect(t.pendingFaults()).toEqual([])
  })

  it('a crash in the middle of a handler: what it did before stays, and nothing comes after', async () => {
    const codes: string[] = []
    const parent = defineTask('parent')
    await using t = createTestClient({
      faults: [{ at: 'publish', do: 'crash', when: 'after', task: other }],
      worker: {
        handlers: [
          handle(parent, async (_, ctx) => {
            if (ctx.job.crashes + codes.length > 0) return
            for (const id of ['first', 'second'])
              await ctx.enqueue(other, undefined, { id }).catch((error: { code: string }) => codes.push(error.code))
          }),
        ],
      },
    })
    await t.enqueue(parent)
    expect(await t.runAll()).toEqual({ completed: 1, dead: 0, retried: 0 })
    expect(codes).toEqual(['ERR_LEASE_LOST', 'ERR_LEASE_LOST'])
    expect(t.enqueued(other).map(({ id }) => id)).toEqual(['first'])
  })

  it('every point strikes, and every job comes to its end', async () => {
    const points = ['publish', 'delivery', 'ack', 'retry', 'dead', 'release'] as const
    const faults = points.flatMap((at): Fault[] => [
      { at, do: 'fail' },
      { at, do: { delay: 1 } },
      { at, do: 'crash' },
      ...(at === 'delivery' ? [] : ([{ at, do: 'crash', when: 'after' }] as const)),
      ...(at === 'delivery' || at === 'publish' ? ([{ at, do: 'duplicate' }] as const) : []),
    ])
    const unhandled = defineTask('unhandled') // is given back, for want of a handler
    const failing = defineTask('failing', { retry: { maxAttempts: 4, backoff: fixed(0) } })
    await using t = createTestClient({
      faults: [...faults, { at: 'start', do: 'fail' }, { at: 'start', do: 'crash', when: 'after' }],
      worker: { handlers: [handle(work, () => 1), handle(failing, () => Promise.reject(new Error('no')))] },
    })
    const ids = ['one', 'two', 'three', 'four', 'five', 'six']
    for (const id of ids) {
      const task: Task<void> = id < 'o' ? failing : id === 'one' ? unhandled : work
      for (let kept = false; !kept;)
        kept = await t.enqueue(task, undefined, { id }).then(
          () => true,
          (error: { code: string }) => {
            expect(error.code).toBe('ERR_BROKER_UNAVAILABLE')
            return false
          },
        )
    }
    await t.runAll()
    await t.advance('2d')
    expect(t.pendingFaults()).toEqual([])
    const { jobs } = await t.jobs.list()
    const ended = Object.fromEntries(jobs.map(({ id, state, reason }) => [id, reason ?? state]))
    const done = 'completed'
    expect(ended).toEqual({ one: 'no-handler', two: done, three: done, four: 'failed', five: 'failed', six: done })
  })

  it('strikes only jobs of its task, and as often as it says', async () => {
    await using t = createTestClient({
      faults: [
        { at: 'publish', do: 'fail', task: 'other', times: Infinity },
        { at: 'publish', do: 'fail', task: work, times: 2 },
      ],
    })
    const outcome = (task: Task<void>) =>
      t.enqueue(task).then(
        () => 'kept',
        () => 'failed',
      )
    expect([await outcome(work), await outcome(other), await outcome(work)]).toEqual(['failed', 'failed', 'failed'])
    expect([await outcome(work), await outcome(other)]).toEqual(['kept', 'failed'])
    expect(t.enqueued(work)).toHaveLength(1)
  })
})

describe('without faults', () => {
  const harness: Harness = {
    name: 'memory',
    async create() {
      const name = `without-faults-${newId()}`
      return { open: (o) => withFaults(memory({ ...o, name }), []), destroy: async () => {} }
    },
  }

  it.each(conformanceCases.filter(({ level }) => level === 'driver'))('$promise $name', async (one) => {
    const { status, reason } = await runCase(harness, one)
    expect([status === 'failed', status === 'failed' && reason]).toEqual([false, false])
  })
})

describe('a fault that makes no sense is refused', () => {
  it.each([
    [{ at: 'commit', do: 'fail' }, /at: there is no "commit"/],
    [{ at: 'ack', do: 'explode' }, /do: "explode" is none of/],
    [{ at: 'ack', do: 'duplicate' }, /"ack" cannot duplicate/],
    [{ at: 'ack', do: { delay: 'long' } }, /delay: "long" is no duration/],
    [{ at: 'ack', do: 'fail', when: 'during' }, /when: "during"/],
    [{ at: 'delivery', do: 'fail', when: 'after' }, /no before and after/],
    [{ at: 'ack', do: 'fail', times: 0 }, /times: 0/],
    [{ at: 'ack', do: 'fail', task: 7 }, /task: 7/],
    [{ at: 'ack', do: 'fail', time: 1 }, /no option "time"/],
  ])('%j', (fault, message) => {
    expect(() => withFaults(memory(), [fault as Fault])).toThrow(message)
  })

  it('a crash where there are no workers', () => {
    const { workers: _, ...bare } = memory()
    expect(() => withFaults(bare, [{ at: 'ack', do: 'crash' }])).toThrow(/knows no workers/)
  })
})

describe('faults of events', () => {
  const told = defineEvent('work.told')
  const heard = defineEvent('work.heard')

  it('an outage at the publish of one event leaves the others alone, and the event out of the log', async () => {
    const t = createTestClient({ faults: [{ at: 'publish', do: 'fail', event: told }] })
    ends.push(() => t.close())
    await t.publish(heard)
    await expect(t.publish(told, undefined, { id: 'e1' })).rejects.toMatchObject({
      code: 'ERR_BROKER_UNAVAILABLE',
      outcome: 'not-sent',
      ids: ['e1'],
    })
    expect(t.published(told)).toEqual([])
    expect(await t.publish(told, undefined, { id: 'e1' })).toEqual({ id: 'e1', duplicate: false })
    expect(t.pendingFaults()).toEqual([])
  })

  it('a subscriber that crashes after it has published runs again, and its event with an id of its own is one', async () => {
    const runs: number[] = []
    const relay = on(told, 'relay', async (e, ctx) => {
      runs.push(ctx.job.attempt)
      await ctx.publish(heard, undefined, { id: `${e.id}-heard` })
    })
    const t = createTestClient({
      worker: { handlers: [relay, on(heard, 'end', () => {})] },
      faults: [
        { at: 'publish', do: 'crash', when: 'after', event: 'work.heard' },
        { at: 'publish', do: 'duplicate', event: told },
      ],
    })
    ends.push(() => t.close())
    await t.publish(told, undefined, { id: 'e1' })
    expect(await t.runAll()).toMatchObject({ completed: 2, dead: 0 })
    expect(runs).toEqual([1, 1])
    expect(t.published(heard).map(({ id }) => id)).toEqual(['e1-heard'])
    expect(t.pendingFaults()).toEqual([])
  })

  it.each([
    [{ at: 'ack', do: 'fail', event: told }, /an event is published, and is no task/],
    [{ at: 'publish', do: 'fail', event: told, task: other }, /an event is published, and is no task/],
    [{ at: 'publish', do: 'fail', event: other as never }, /is neither an event nor the name of one/],
  ] as const)('refuses a fault that makes no sense (%#)', (fault, message) =>
    expect(() => createTestClient({ faults: [fault] })).toThrow(message),
  )
})
