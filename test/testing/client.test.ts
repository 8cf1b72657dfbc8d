// The test client: what it records, what it runs and when, and that nothing goes on behind the test's back.
import { afterEach, describe, expect, it } from 'vitest'
import {
  NonRetryableError,
  RetryLaterError,
  defineEvent,
  defineTask,
  defineWorker,
  exponential,
  fixed,
  handle,
  on,
  unchecked,
  type Job,
  type Producer,
} from '../../src/index.js'
import { createTestClient, type TestClient, type TestClientOptions } from '../../src/testing/index.js'

const START = new Date('2026-03-01T12:00:00Z')
const mail = defineTask('mail', { input: unchecked<{ to: string }>() })
const add = defineTask('add', { input: unchecked<{ a: number; b: number }>(), output: unchecked<number>() })
const flaky = defineTask('flaky', {
  input: unchecked<{ fails: number }>(),
  retry: { maxAttempts: 4, backoff: exponential('1h', { factor: 2, max: '1d' }) },
})

let open: TestClient[] = []
function client(o: TestClientOptions = {}): TestClient {
  const t = createTestClient({ now: START, ...o })
  open.push(t)
  return t
}
afterEach(async () => {
  for (const t of open) await t.close()
  open = []
})

/** Hours since the start. */
const hours = (t: TestClient) => (t.now().getTime() - START.getTime()) / 3_600_000
const none = { completed: 0, dead: 0, retried: 0 }

describe('what was enqueued', () => {
  async function signUp(jobs: Producer, to: string) {
    await jobs.enqueue(mail, { to }, { delay: '5m', unique: to })
  }

  it('is told in order, the input as sent and the options as given', async () => {
    const t = client()
    await signUp(t, 'ada')
    const [bob] = await t.enqueueMany(mail, [{ to: 'bob' }], { priority: 7, each: () => ({ group: 'b' }) })
    await t.enqueue(add, { a: 1, b: 2 })
    expect(t.enqueued(mail)).toEqual([
      { id: expect.any(String), input: { to: 'ada' }, options: { delay: '5m', unique: 'ada' } },
      { id: bob!.id, input: { to: 'bob' }, options: { priority: 7, group: 'b' } },
    ])
    expect(t.enqueued(add).map(({ input }) => input)).toEqual([{ a: 1, b: 2 }])
  })

  it('leaves out what was refused and what was a duplicate', async () => {
    const t = client()
    await signUp(t, 'ada')
    await signUp(t, 'ada')
    await expect(t.enqueue(mail, { to: 1n as unknown as string })).rejects.toMatchObject({ code: 'ERR_VALIDATION' })
    expect(t.enqueued(mail)).toHaveLength(1)
  })

  it('stays as it was sent, whatever becomes of the object and the job', async () => {
    const t = client()
    const input = { to: 'ada' }
    const job = await t.enqueue(mail, input)
    input.to = 'eve'
    await t.jobs.delete(job.id).catch(() => {})
    expect(t.enqueued(mail)[0]?.input).toEqual({ to: 'ada' })
  })

  it('says what is no task', () => {
    const t = client()
    expect(() => t.enqueued('mail' as never)).toThrow(/task made by defineTask/)
  })
})

describe('runAll', () => {
  it('runs what is due and the jobs that handlers enqueue, and counts them', async () => {
    const sent: string[] = []
    const report = defineTask('report')
    const t = client({
      worker: {
        handlers: [
          handle(mail, ({ to }) => void sent.push(to)),
          handle(report, async (_, ctx) => {
            await ctx.enqueue(mail, { to: 'boss' })
            await ctx.enqueueMany(mail, [{ to: 'team' }])
          }),
        ],
      },
    })
    const job = await t.enqueue(report)
    expect(await t.runAll()).toEqual({ completed: 3, dead: 0, retried: 0 })
    expect(sent).toEqual(['boss', 'team'])
    expect(t.enqueued(mail).map(({ input }) => input.to)).toEqual(['boss', 'team'])
    expect(await job.info()).toMatchObject({ state: 'completed', finishedAt: START })
    expect(await t.runAll()).toEqual(none)
  })

  it('runs one handler at a time, the oldest first, and by priority within a queue', async () => {
    const seen: string[] = []
    let atOnce = 0
    const note = (name: string) => async () => {
      expect(++atOnce).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      atOnce -= 1
      seen.push(name)
    }
    const [one, two] = [defineTask('one', { queue: 'a' }), defineTask('two', { queue: 'b' })]
    const t = client({ worker: { handlers: [handle(one, note('one')), handle(two, note('two'))] } })
    await t.enqueue(two)
    await t.enqueue(one)
    await t.enqueue(two)
    await t.runAll()
    expect(seen).toEqual(['two', 'one', 'two'])

    const byPriority: number[] = []
    const ranked = defineTask('ranked', { input: unchecked<number>() })
    const p = client({ worker: { handlers: [handle(ranked, (n) => void byPriority.push(n))] } })
    await p.enqueue(ranked, 1, { priority: 1 })
    await p.enqueue(ranked, 9, { priority: 9 })
    await p.runAll()
    expect(byPriority).toEqual([9, 1])
  })

  it('checks, retries and settles as a worker does', async () => {
    const strict = defineTask('strict', { output: unchecked<string>() })
    const hopeless = defineTask('hopeless')
    const calls: string[] = []
    const t = client({
      worker: {
        middleware: [
          async (ctx, next) => {
            calls.push(`before ${ctx.job.name}`)
            await next()
          },
        ],
        handlers: [
          handle(strict, () => 1n as unknown as string),
          handle(hopeless, () => Promise.reject(new NonRetryableError('never')), {
            onDead: async (job, ctx) => {
              calls.push(`dead ${job.name}`)
              await ctx.enqueue(add, { a: 1, b: 1 })
            },
          }),
          handle(add, ({ a, b }) => a + b),
        ],
      },
    })
    const [bad, dead] = [await t.enqueue(strict), await t.enqueue(hopeless)]
    expect(await t.runAll()).toEqual({ completed: 1, dead: 2, retried: 0 })
    await expect(bad.result()).rejects.toMatchObject({ reason: 'invalid-output' })
    await expect(dead.result()).rejects.toMatchObject({ reason: 'failed' })
    expect(calls).toEqual(['before strict', 'before hopeless', 'dead hopeless', 'before add'])
  })

  it('leaves delayed jobs, paused queues and queues without a handler alone', async () => {
    const t = client({ worker: { handlers: [handle(mail, () => {})] } })
    const later = await t.enqueue(mail, { to: 'later' }, { delay: '3d' })
    const elsewhere = await t.enqueue(defineTask('elsewhere', { queue: 'other' }))
    expect(await t.runAll()).toEqual(none)
    expect((await later.info()).state).toBe('scheduled')
    expect((await elsewhere.info()).state).toBe('ready')
    await t.enqueue(mail, { to: 'now' })
    await t.queues.pause('default')
    expect(await t.runAll()).toEqual(none)
    await t.queues.resume('default')
    expect(await t.runAll()).toEqual({ ...none, completed: 1 })
  })

  it('lets other jobs run while a handler waits for their results', async () => {
    const seen: string[] = []
    const parent = defineTask('parent', { output: unchecked<number>() })
    const t = client({
      worker: {
        concurrency: 1,
        handlers: [
          handle(parent, async (_, ctx) => {
            const jobs = await ctx.enqueueMany(add, [
              { a: 1, b: 1 },
              { a: 2, b: 2 },
            ])
            const sums = await Promise.all(jobs.map((job) => job.result()))
            seen.push('parent')
            return sums[0]! + sums[1]!
          }),
          handle(add, ({ a, b }) => {
            seen.push(`add ${a}`)
            return a + b
          }),
        ],
      },
    })
    const job = await t.enqueue(parent)
    expect(await t.runAll()).toEqual({ ...none, completed: 3 })
    expect(await job.result()).toBe(6)
    expect(seen).toEqual(['add 1', 'add 2', 'parent'])
  })

  it('leaves a handler waiting for what is not due, and time brings it on', async () => {
    const parent = defineTask('parent', { output: unchecked<number>() })
    const t = client({
      worker: {
        handlers: [
          handle(parent, async (_, ctx) => (await ctx.enqueue(add, { a: 1, b: 2 }, { delay: '1d' })).result()),
          handle(add, ({ a, b }) => a + b),
        ],
      },
    })
    const job = await t.enqueue(parent)
    expect(await t.runAll()).toEqual(none)
    expect((await job.info()).state).toBe('active')
    expect(await t.advance('1d')).toEqual({ ...none, completed: 2 })
    expect(await job.result()).toBe(3)
  })

  it('counts no cancelled job, and tells a running handler', async () => {
    const self: { job?: Job<void> } = {}
    let aborted = false
    const t = client({
      worker: {
        handlers: [
          handle(mail, async (_, ctx) => {
            await self.job!.cancel()
            aborted = ctx.signal.aborted
          }),
        ],
      },
    })
    self.job = await t.enqueue(mail, { to: 'ada' })
    expect(await t.runAll()).toEqual(none)
    expect((await self.job.info()).state).toBe('cancelled')
    expect(aborted).toBe(true)
  })

  it('refuses what cannot be', async () => {
    const t = client()
    await expect(t.runAll()).rejects.toThrow(/createTestClient\(\{ worker/)
    expect(() => client({ wrker: {} } as never)).toThrow(/no option "wrker"/)
    expect(() => client({ now: new Date('never') })).toThrow(/no valid Date/)
    await expect(t.advance('1 month' as never)).rejects.toThrow(/no duration/)
    const busy = client({ worker: { handlers: [handle(mail, () => void (nested = busy.runAll()))] } })
    let nested: Promise<unknown> | undefined
    await busy.enqueue(mail, { to: 'ada' })
    const run = busy.runAll()
    await expect(busy.advance('1s')).rejects.toThrow(/under way/)
    await run
    await expect(nested).rejects.toThrow(/under way/)
    await expect(client({ worker: {} as never }).runAll()).rejects.toThrow(/no worker/)
  })
})

describe('time', () => {
  it('stands still until it is moved, and Date.now() is left alone', async () => {
    const before = Date.now()
    const t = client({ worker: { handlers: [handle(mail, () => {})] } })
    const job = await t.enqueue(mail, { to: 'ada' }, { delay: '3d' })
    expect(await job.info()).toMatchObject({ enqueuedAt: START, dueAt: new Date('2026-03-04T12:00:00Z') })
    expect(await t.advance('3d')).toEqual({ ...none, completed: 1 })
    expect(t.now()).toEqual(new Date('2026-03-04T12:00:00Z'))
    expect(Date.now() - before).toBeLessThan(60_000)
  })

  it('moves without a worker, too', async () => {
    const t = client()
    const job = await t.enqueue(mail, { to: 'ada' }, { delay: '1h' })
    expect(await t.advance('59m')).toEqual(none)
    expect((await job.info()).state).toBe('scheduled')
    await t.advance('1m')
    expect((await job.info()).state).toBe('ready')
  })

  it('runs what becomes due at its time and in its order, a chain of retries too', async () => {
    const seen: [string, number][] = []
    const t = client({
      worker: {
        handlers: [
          handle(mail, ({ to }) => void seen.push([to, hours(t)])),
          handle(flaky, ({ fails }, ctx) => {
            seen.push([`attempt ${ctx.job.attempt}`, hours(t)])
            if (ctx.job.attempt <= fails) throw new Error('not yet')
          }),
        ],
      },
    })
    await t.enqueue(mail, { to: 'at 5h' }, { delay: '5h' })
    await t.enqueue(mail, { to: 'at 2h' }, { runAt: new Date('2026-03-01T14:00:00Z') })
    await t.enqueue(flaky, { fails: 3 })
    expect(await t.runAll()).toEqual({ ...none, retried: 1 })
    // Retries wait for 1, 2 and 4 hours: with full jitter, always the longest that it allows.
    expect(await t.advance('59m')).toEqual(none)
    expect(await t.advance('3d')).toEqual({ completed: 3, dead: 0, retried: 2 })
    expect(seen).toEqual([
      ['attempt 1', 0],
      ['attempt 2', 1],
      ['at 2h', 2],
      ['attempt 3', 3],
      ['at 5h', 5],
      ['attempt 4', 7],
    ])
    expect(hours(t)).toBe(72 + 59 / 60)
  })

  it('ends with the job dead when attempts run out, and with every error in its time', async () => {
    const t = client({ worker: { handlers: [handle(flaky, () => Promise.reject(new Error('down')))] } })
    const job = await t.enqueue(flaky, { fails: 9 })
    expect(await t.advance('1d')).toEqual({ completed: 0, dead: 1, retried: 3 })
    expect((await job.info()).errors.map(({ at }) => (at.getTime() - START.getTime()) / 3_600_000)).toEqual([
      0, 1, 3, 7,
    ])
  })

  it('decides what is expired, put off, held by a key, and without a handler', async () => {
    const shortLived = defineTask('short-lived', { expires: '1h' })
    const patient = defineTask('patient')
    let calls = 0
    const t = client({
      worker: {
        handlers: [
          handle(shortLived, () => {}),
          handle(patient, () => {
            if (++calls < 3) throw new RetryLaterError('6h')
          }),
        ],
      },
    })
    const late = await t.enqueue(shortLived, undefined, { delay: '2h' })
    await t.enqueue(patient)
    const unknown = await t.enqueue(defineTask('unknown'))
    expect(await t.advance('11h')).toEqual({ ...none, dead: 1 })
    await expect(late.result()).rejects.toMatchObject({ reason: 'expired' })
    expect(await t.advance('1h')).toEqual({ ...none, completed: 1 })
    expect(await t.advance('13h')).toEqual({ ...none, dead: 1 })
    await expect(unknown.result()).rejects.toMatchObject({ reason: 'no-handler' })

    const keyed = () => t.enqueue(patient, undefined, { unique: { key: 'k', until: '1d' } })
    await keyed()
    await t.runAll()
    expect((await keyed()).duplicate).toBe(true)
    await t.advance('1d')
    expect((await keyed()).duplicate).toBe(false)
  })

  it('runs a retry without a pause at once: it is due', async () => {
    const eager = defineTask('eager', { retry: { maxAttempts: 3, backoff: fixed(0) } })
    const t = client({ worker: { handlers: [handle(eager, () => Promise.reject(new Error('no')))] } })
    await t.enqueue(eager)
    expect(await t.runAll()).toEqual({ completed: 0, dead: 1, retried: 2 })
  })
})

describe('the rest of a client', () => {
  it('makes its worker once, and ends it at close', async () => {
    const calls: string[] = []
    const worker = defineWorker(async () => {
      calls.push('made')
      return { handlers: [handle(mail, () => {})], onStop: () => void calls.push('stopped') }
    })
    const t = client({ worker })
    await t.enqueue(mail, { to: 'ada' })
    await t.runAll()
    await t.advance('1h')
    await t.close()
    await t.close()
    expect(calls).toEqual(['made', 'stopped'])
    await expect(t.enqueue(mail, { to: 'ada' })).rejects.toMatchObject({ code: 'ERR_CLIENT_CLOSED' })
  })

  it('lets nothing run between calls, and holds no process up', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers() // the test runner's own
    const t = client({ worker: { handlers: [handle(mail, () => {})] } })
    await t.enqueue(mail, { to: 'ada' })
    await t.runAll()
    expect(timers()).toBe(before)
    const job = await t.enqueue(mail, { to: 'bob' })
    expect((await job.info()).state).toBe('ready')
    await t.advance('1s')
    expect((await job.info()).state).toBe('completed')
  })

  it('gives back what still waits when it is closed', async () => {
    let reason: unknown
    const parent = defineTask('parent')
    const t = client({
      worker: {
        handlers: [
          handle(parent, async (_, ctx) => {
            ctx.signal.addEventListener('abort', () => (reason = ctx.signal.reason))
            await (await ctx.enqueue(mail, { to: 'ada' }, { delay: '1d' })).result()
          }),
        ],
      },
    })
    await t.enqueue(parent)
    await t.runAll()
    await t.close()
    expect(reason).toMatchObject({ code: 'ERR_WORKER_STOPPING' })
  })

  it('works beside workers of its own', async () => {
    const t = client()
    await using worker = await t.work({ handlers: [handle(add, ({ a, b }) => a + b)] })
    expect(await (await t.enqueue(add, { a: 1, b: 2 })).result()).toBe(3)
    expect(worker.health().ready).toBe(true)
  })
})

describe('what was published', () => {
  const joined = defineEvent('user.joined', { payload: unchecked<{ name: string }>() })
  const greeted = defineEvent('user.greeted')

  it('is told in order, each event once, with the time of the test', async () => {
    const t = client({
      worker: {
        handlers: [on(joined, 'greet', async (_e, ctx) => void (await ctx.publish(greeted, undefined, { id: 'g' })))],
      },
    })
    await t.publish(joined, { name: 'Ada' }, { id: 'a' })
    await t.publish(joined, { name: 'Ada' }, { id: 'a' })
    await expect(t.publish(joined, { name: 1n } as never)).rejects.toThrow(/no JSON value/)
    expect(t.published(joined)).toEqual([
      { id: 'a', name: 'user.joined', payload: { name: 'Ada' }, time: START, source: 'millrace' },
    ])
    expect(t.published(greeted)).toEqual([])
    expect(await t.runAll()).toEqual({ ...none, completed: 1 })
    expect(t.published(greeted).map(({ id }) => id)).toEqual(['g'])
    expect(() => t.published(mail as never)).toThrow(/An event made by defineEvent/)
  })
})
