// A whole client and worker on any broker, also one that remembers nothing: seen by what handlers do, by replies, and by what is
// refused in words that say what helps.
import { NonRetryableError } from '../../core/errors.js'
import { defineEvent } from '../../core/event.js'
import { fixed } from '../../core/retry.js'
import { defineTask } from '../../core/task.js'
import { messageFor, ticketOf } from '../../driver/compose/handing.js'
import type { StatefulDriver } from '../../driver/driver.js'
import { wrapDelivery } from '../../driver/wrap.js'
import { on, route } from '../../events/define.js'
import { schedule } from '../../schedules/define.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, deadJobs, noMemory, results } from './needs.js'
import { assert, codeOf, deferred, envelope, QUEUE, REPLY, until } from './stage.js'
import { other, z } from './tasks.js'

const stubborn = defineTask('stubborn', { queue: QUEUE, retry: { maxAttempts: 3, backoff: fixed(0) } })
const closed = defineEvent('shop.closed')

export const forgetfulCases: readonly ConformanceCase[] = [
  {
    promise: 'P4',
    level: 'runtime',
    name: 'after the grace a handler is aborted, and its job goes to another worker unspent',
    async run(stage) {
      const [client, heir] = [stage.client(), stage.client()]
      const started = deferred()
      let reason: unknown
      const worker = await client.work({
        handlers: [
          handle(other, async (_, ctx) => {
            started.resolve()
            await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()))
            reason = ctx.signal.reason
            throw new Error('stopped')
          }),
        ],
      })
      const { id } = await client.enqueue(other)
      await started.promise
      await worker.stop({ grace: 0 })
      assert.equal((reason as { code?: string }).code, 'ERR_WORKER_STOPPING')
      const got = deferred<unknown[]>()
      await heir.work({
        handlers: [handle(other, (_, ctx) => got.resolve([ctx.job.id, ctx.job.attempt, ctx.job.crashes]))],
      })
      assert.deepEqual(await got.promise, [id, 1, 0])
    },
  },
  {
    promise: 'P2',
    level: 'runtime',
    name: 'a worker without the store runs no job that is in its books, and leaves it to workers with both',
    needs: noMemory,
    async run(stage) {
      const [client, driver] = [stage.client(), await stage.driver()]
      const ran: string[] = []
      const mine = deferred()
      const worker = await client.work({
        handlers: [
          handle(other, (_, ctx) => {
            ran.push(ctx.job.id)
            if (ctx.job.id === 'mine') mine.resolve()
          }),
        ],
      })
      const job = { name: other.name, queue: QUEUE, body: '' }
      await driver.broker.publish({ envelopes: [messageFor(envelope({ ...job, id: 'booked' }), 7)] })
      await driver.broker.publish({ envelopes: [envelope({ ...job, id: 'mine' })] })
      await mine.promise
      await worker.stop()
      assert.deepEqual(ran, ['mine'])
      const hand = await stage.hand(driver, { prefetch: 1 })
      const left = await hand.next()
      assert.equal(left.envelope.id, 'booked')
      assert.equal(ticketOf(left.envelope), 7)
    },
  },
  {
    promise: 'P5',
    level: 'runtime',
    name: 'a job is tried maxAttempts times, then found among the dead, and runs again when an operator says so',
    needs: deadJobs,
    async run(stage) {
      const [client, operator] = [stage.client(), stage.client()]
      const attempts: number[] = []
      let works = false
      await client.work({
        handlers: [
          handle(stubborn, (_, ctx) => {
            attempts.push(ctx.job.attempt)
            if (!works) throw new Error(`failure ${ctx.job.attempt}`)
          }),
        ],
      })
      const { id } = await client.enqueue(stubborn)
      const dead = () => operator.jobs.list({ states: ['dead'], task: stubborn })
      await until(async () => (await dead()).jobs.length === 1, 'the job to be dead')
      assert.deepEqual(attempts, [1, 2, 3])
      const info = await operator.jobs.get(id)
      assert.deepEqual([info?.state, info?.reason, info?.attempt], ['dead', 'failed', 3])
      assert.deepEqual(
        info?.errors.map(({ message }) => message),
        ['failure 1', 'failure 2', 'failure 3'],
      )
      works = true
      assert.equal(await operator.jobs.retry({ task: stubborn, error: 'no such text' }), 0)
      assert.equal(await operator.jobs.retry({ task: stubborn, error: 'FAILURE 3' }), 1)
      await until(() => attempts.length === 4, 'another run')
      assert.deepEqual(attempts, [1, 2, 3, 1])
      await until(async () => (await dead()).jobs.length === 0, 'no dead job')
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: 'with { reply: true } the process that enqueued hears of result and failure, and waits no longer than it said',
    needs: results,
    async run(stage) {
      const [caller, server] = [stage.client(), stage.client()]
      const early = await caller.enqueue(z, { n: 1 }, REPLY)
      assert.equal(await codeOf(() => early.result({ timeout: 20 })), 'ERR_RESULT_TIMEOUT')
      const stop = new AbortController()
      const aborted = early.result({ signal: stop.signal })
      stop.abort(new Error('changed my mind'))
      await assert.rejects(aborted, /changed my mind/)
      const failing = defineTask('failing', { queue: QUEUE, retry: false })
      await server.work({
        handlers: [
          handle(z, ({ n }) => ({ n: n + 1 })),
          handle(failing, () => {
            throw new NonRetryableError('hopeless')
          }),
        ],
      })
      assert.deepEqual(await early.result(), { n: 2 })
      assert.deepEqual(await early.result(), { n: 2 })
      const many = await caller.enqueueMany(z, [{ n: 10 }, { n: 20 }], { each: () => REPLY })
      assert.deepEqual(await Promise.all(many.map((job) => job.result())), [{ n: 11 }, { n: 21 }])
      const bad = await caller.enqueue(failing, undefined, REPLY)
      await assert.rejects(bad.result(), { code: 'ERR_JOB_FAILED', reason: 'failed', message: /hopeless/ })
      const never = await caller.enqueue(defineTask('never', { queue: 'unread' }), undefined, REPLY)
      const waiting = never.result({ timeout: '1h' })
      const ended = assert.rejects(waiting, { code: 'ERR_CLIENT_CLOSED' })
      await caller.close()
      await ended
      assert.equal(await codeOf(() => server.enqueue(z, { n: 1 }, { reply: 'yes' as never })), 'ERR_CONFIGURATION')
    },
  },
  {
    promise: 'P13',
    level: 'runtime',
    name: 'what came past the schema dies before the handler, and is found among the dead',
    needs: deadJobs,
    async run(stage) {
      const client = stage.client()
      await assert.rejects(client.enqueue(z, { n: 'x' as unknown as number }), { code: 'ERR_VALIDATION' })
      const driver = await stage.driver()
      const bodies = ['{"n":"x"}', '{broken', '']
      await driver.broker.publish({ envelopes: bodies.map((body) => envelope({ name: z.name, body })) })
      await client.work({ handlers: [handle(z, () => assert.fail('the handler ran'))] })
      const dead = async () => (await client.jobs.list({ states: ['dead'] })).jobs
      await until(async () => (await dead()).length === 3, 'three dead jobs')
      for (const { reason, attempt } of await dead()) assert.deepEqual([reason, attempt], ['invalid-input', 0])
    },
  },
  {
    promise: 'P14',
    level: 'runtime',
    name: 'a broker without memory carries a job without a handler for ten minutes, and not a second less',
    needs: all(noMemory, deadJobs),
    async run(stage) {
      const limit = 600_000
      for (const [age, dies] of [
        [limit - 60_000, false],
        [limit + 1_000, true],
      ] as const) {
        const settled = deferred<string>()
        const client = stage.client({ wrap: (driver) => blockedFor(age, driver, settled.resolve) })
        await client.enqueue(z, { n: 1 })
        const worker = await client.work({ handlers: [handle(other, () => {})] })
        assert.equal(await settled.promise, dies ? 'dead no-handler' : 'release no-handler')
        await worker.stop()
      }
    },
  },
  {
    promise: 'P18',
    level: 'runtime',
    name: 'a task that may run for longer than the product lets it is refused when a worker starts',
    async run(stage) {
      const client = stage.client({
        wrap: (driver) => ({ ...driver, traits: { ...driver.traits, longestRun: 60_000 } }),
      })
      for (const timeout of ['2m', false] as const) {
        const long = defineTask('long', { queue: QUEUE, timeout })
        const started = client.work({ handlers: [handle(long, () => {})] })
        await assert.rejects(started, { code: 'ERR_CONFIGURATION', message: /Task "long" has .*1m/ })
      }
      const fits = defineTask('fits', { queue: QUEUE, timeout: '1m' })
      await (await client.work({ handlers: [handle(fits, () => {})] })).stop()
    },
  },
  {
    promise: 'P18',
    level: 'runtime',
    name: 'what takes memory is refused by a broker that has none, in words that say what helps',
    needs: noMemory,
    async run(stage) {
      const client = stage.client()
      await client.enqueue(other)
      const job = await client.enqueue(other, undefined, { id: 'mine' })
      const since = new Date(0)
      const denied: Readonly<Record<string, () => Promise<unknown>>> = {
        'a unique key': () => client.enqueue(other, undefined, { unique: 'k' }),
        'a result without a reply': () => job.result(),
        'a result of an id': () => client.job(z, 'mine').result(),
        'a look at a job': () => job.info(),
        'a look at an id': () => client.jobs.get('mine'),
        'a list of all jobs': () => client.jobs.list(),
        'a list of waiting jobs': () => client.jobs.list({ states: ['ready'] }),
        'a cancel': () => job.cancel(),
        'a cancel by filter': () => client.jobs.cancel({ task: other }),
        'a retry of what is not dead': () => client.jobs.retry({ states: ['scheduled'] }),
        'a delete of what is not dead': () => client.jobs.delete({ states: ['ready'] }),
        'lines of log': () => client.jobs.logs('mine'),
        'a pause': () => client.queues.pause(QUEUE),
        'a resume': () => client.queues.resume(QUEUE),
        workers: () => client.workers.list(),
        'the log of events': () => client.events.log(),
        schedules: () => client.schedules.list(),
        'a schedule': () => client.schedules.create('s', { every: '1h' }, other),
        'a trigger': () => client.schedules.trigger('s'),
        'a schedule in code': () => client.work({ handlers: [schedule('s', { every: '1h' }, other)] }),
        'a transaction': async () => client.enqueue(other, undefined, { tx: {} }),
      }
      for (const [what, call] of Object.entries(denied)) {
        const error = await Promise.resolve()
          .then(call)
          .then(
            () => assert.fail(`${what} was not refused`),
            (thrown: { code?: string; message: string }) => thrown,
          )
        assert.equal(error.code, 'ERR_UNSUPPORTED', `${what}: ${error.message}`)
        assert.match(error.message, /add a store/, what)
      }
      await client.work({ handlers: [on('#', 'all', () => {})] })
      await assert.rejects(client.subscriptions.pause('all'), { code: 'ERR_UNSUPPORTED', message: /add a store/ })
      await assert.rejects(client.events.replay('all', { since }), { code: 'ERR_UNSUPPORTED', message: /add a store/ })
    },
  },
  {
    promise: 'P18',
    level: 'runtime',
    name: 'what needs no memory works without one: queues, subscriptions, the doctor, and a handler that tells of its progress',
    needs: noMemory,
    async run(stage) {
      const warnings: string[] = []
      const quiet = () => {}
      const log = {
        debug: quiet,
        info: quiet,
        warn: (o: unknown, m?: string) => void warnings.push(m ?? String(o)),
        error: quiet,
      }
      const client = stage.client({ log })
      let ran = 0
      const worker = await client.work({
        handlers: [
          handle(other, async (_, ctx) => {
            await ctx.progress(0.5, 'half')
            ctx.log.info('said')
            ran += 1
          }),
          on('#', 'all', () => {}),
        ],
      })
      await client.enqueueMany(other, [undefined, undefined])
      await until(() => ran === 2, 'both jobs')
      assert.equal(warnings.filter((text) => text.includes('add a store')).length, 1, 'told once')
      await worker.stop()
      await client.enqueue(other)
      await until(async () => (await client.queues.stats(QUEUE)).ready === 1, 'the job to wait')
      const queue = (await client.queues.list()).find(({ name }) => name === QUEUE)
      assert.deepEqual([queue?.paused, queue?.ready], [false, 1])
      assert.equal(await client.queues.purge(QUEUE), 1)
      const [subscription] = await client.subscriptions.list()
      assert.deepEqual([subscription?.name, subscription?.declared], ['all', undefined])
      assert.deepEqual(await client.events.list(), [{ name: '#', subscriptions: ['all'], tasks: [] }])
      const codes = (await client.doctor()).map(({ code }) => code)
      assert.ok(codes.includes('store') && codes.includes('no-store'), codes.join(', '))
      assert.equal(await client.subscriptions.remove('all'), 0)
      assert.deepEqual(await client.subscriptions.list(), [])
    },
  },
  {
    promise: 'P20',
    level: 'runtime',
    name: 'every subscriber handles an event, one that fails is retried alone, and a route queues its task',
    async run(stage) {
      const [client, producer] = [stage.client(), stage.client()]
      const got: string[] = []
      let failures = 0
      await client.work({
        handlers: [
          on(closed, 'one', (e) => void got.push(`one ${e.id}`)),
          on(
            '#',
            'two',
            (e) => {
              if (failures++ === 0) throw new Error('once')
              got.push(`two ${e.id}`)
            },
            { retry: { maxAttempts: 2, backoff: fixed(0) } },
          ),
          route(closed, other, () => undefined),
          handle(other, (_, ctx) => void got.push(`task ${ctx.job.id}`)),
        ],
      })
      assert.deepEqual(await producer.publish(closed, undefined, { id: 'e1' }), { id: 'e1', duplicate: false })
      await until(() => got.length === 3, 'all three')
      assert.deepEqual(got.toSorted(), ['one e1', 'task e1/task/nothing', 'two e1'])
      assert.equal(failures, 2)
    },
  },
  {
    promise: 'seam',
    level: 'runtime',
    name: 'workers of one namespace get its jobs and events, and none of another',
    async run(stage) {
      const names = ['a', 'b'] as const
      const clients = names.map((namespace) => stage.client({ namespace }))
      const got: string[] = []
      for (const [i, name] of names.entries())
        await clients[i]!.work({
          handlers: [
            handle(other, (_, ctx) => void got.push(`${name} ${ctx.job.id}`)),
            on(closed, 's', (e) => void got.push(`${name} ${e.id}`)),
          ],
        })
      for (const [i, name] of names.entries()) {
        await clients[i]!.enqueue(other, undefined, { id: `job-of-${name}` })
        await clients[i]!.publish(closed, undefined, { id: `event-of-${name}` })
      }
      await until(() => got.length >= 4, 'four of them')
      assert.deepEqual(got.toSorted(), ['a event-of-a', 'a job-of-a', 'b event-of-b', 'b job-of-b'])
    },
  },
]

/** The driver, with deliveries given back for want of a handler since `age` milliseconds ago; `told` how one was settled. */
function blockedFor(age: number, driver: StatefulDriver<any>, told: (how: string) => void): StatefulDriver<any> {
  return {
    ...driver,
    broker: {
      ...driver.broker,
      consume: (o) =>
        driver.broker.consume({
          ...o,
          onDelivery: (delivery) =>
            o.onDelivery(
              wrapDelivery(delivery, {
                blocked: { why: 'no-handler', since: Date.now() - age },
                async release(how) {
                  await delivery.release(how)
                  if (delivery.envelope.name === z.name) told(`release ${how?.why}`)
                },
                async dead(how) {
                  await delivery.dead(how)
                  told(`dead ${how.reason}`)
                },
              }),
            ),
        }),
    },
  }
}
