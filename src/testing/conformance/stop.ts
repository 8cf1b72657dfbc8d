// P4: bounded stop. P6: timeouts. P7: cancel from any process.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { unchecked } from '../../core/schema.js'
import { defineTask } from '../../core/task.js'
import { fixed } from '../../core/retry.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, deadJobs, memory, results } from './needs.js'
import { assert, codeOf, deferred, envelope, QUEUE, recordOf, until, REPLY } from './stage.js'
import { other, withNumber, z } from './tasks.js'

const short = defineTask('short', { queue: QUEUE, timeout: 50, retry: { maxAttempts: 2, backoff: fixed(0) } })
const shortOnce = defineTask('short.once', { queue: QUEUE, timeout: 50, retry: false })

export const stopCases: readonly ConformanceCase[] = [
  {
    promise: 'P4',
    level: 'runtime',
    name: 'stop takes nothing new, tells the handlers, and waits for them',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const [started, finish] = [deferred(), deferred()]
      let told = false
      const worker = await client.work({
        concurrency: 1,
        handlers: [
          handle(other, async (_, ctx) => {
            ctx.stopping.addEventListener('abort', () => (told = true))
            started.resolve()
            await finish.promise
          }),
        ],
      })
      const first = await client.enqueue(other)
      await started.promise
      const second = await client.enqueue(other)
      const stopped = worker.stop({ grace: '1m' })
      await until(() => told, 'ctx.stopping')
      assert.equal(worker.health().ready, false)
      finish.resolve()
      await stopped
      await worker.done
      assert.equal((await first.info()).state, 'completed')
      assert.equal((await second.info()).state, 'ready')
      assert.equal((await second.info()).run, 0)
    },
  },
  {
    promise: 'P4',
    level: 'runtime',
    name: 'after the grace handlers are aborted and their jobs given back unspent',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const started = [deferred(), deferred()]
      const never = deferred()
      stage.after(() => never.resolve())
      let reason: unknown
      const worker = await client.work({
        handlers: [
          handle(other, async (_, ctx) => {
            ctx.signal.addEventListener('abort', () => (reason = ctx.signal.reason))
            started[0]!.resolve()
            await new Promise((_resolve, reject) =>
              ctx.signal.addEventListener('abort', () => reject(new Error('stopped'))),
            )
          }),
          handle(z, async ({ n }) => {
            started[1]!.resolve()
            await never.promise // ignores its signal
            return { n }
          }),
        ],
      })
      const jobs = [await client.enqueue(other), await client.enqueue(z, { n: 1 })]
      await Promise.all(started.map((one) => one.promise))
      await worker.stop({ grace: 0 })
      for (const job of jobs) {
        const info = await job.info()
        assert.deepEqual([info.state, info.attempt, info.crashes, info.errors.length], ['ready', 0, 0, 0])
      }
      assert.equal((reason as { code?: string }).code, 'ERR_WORKER_STOPPING')
    },
  },
  {
    promise: 'P4',
    level: 'runtime',
    name: 'a second stop with a shorter grace hurries the first, and onStop runs after the handlers',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const [started, never] = [deferred(), deferred()]
      stage.after(() => never.resolve())
      let closed = 0
      const worker = await client.work({
        handlers: [
          handle(other, async () => {
            started.resolve()
            await never.promise
          }),
        ],
        onStop: () => void closed++,
      })
      const job = await client.enqueue(other)
      await started.promise
      const first = worker.stop({ grace: '10m' })
      await worker.stop({ grace: 0 })
      await first
      assert.equal(closed, 1)
      assert.equal((await job.info()).state, 'ready')
    },
  },
  {
    promise: 'P4',
    level: 'runtime',
    name: "whatever of the user's code hangs or throws, a stop without grace ends, and close closes",
    needs: memory,
    async run(stage) {
      const never = deferred()
      stage.after(() => never.resolve())
      const hangs: StandardSchemaV1<number> = {
        '~standard': { version: 1, vendor: 'test', validate: () => never.promise.then(() => ({ value: 1 })) },
      }
      const stuck = defineTask('stuck', { queue: QUEUE, input: unchecked<number>() })
      const late = { ...stuck, '~spec': { ...stuck['~spec']!, input: hangs } }
      const seen: string[] = []
      const client = stage.client()
      const worker = await client.work({
        handlers: [
          handle(late, () => void seen.push('a handler began after the stop')),
          handle(
            shortOnce,
            () => {
              throw new Error('dies')
            },
            {
              onDead: () => {
                seen.push('onDead')
                return never.promise
              },
            },
          ),
        ],
        onStop: () => {
          throw new Error('onStop failed')
        },
      })
      const waiting = await client.enqueue(stuck, 1)
      await client.enqueue(shortOnce)
      await until(() => seen.includes('onDead'), 'onDead')
      await until(async () => (await waiting.info()).state === 'active', 'the schema to hang')
      await assert.rejects(worker.stop({ grace: 0 }), /onStop failed/)
      const info = await waiting.info()
      assert.deepEqual([info.state, info.attempt], ['ready', 0])
      never.resolve()
      await client.close().catch(() => {})
      assert.equal(await codeOf(() => client.enqueue(stuck, 1)), 'ERR_CLIENT_CLOSED')
      assert.equal(await codeOf(() => client.work({ handlers: [handle(stuck, () => {})] })), 'ERR_CLIENT_CLOSED')
      assert.deepEqual(seen, ['onDead'])
    },
  },
  {
    promise: 'P4',
    level: 'runtime',
    name: 'a producer keeps no process alive, and neither does a worker once it has stopped',
    needs: results,
    async run(stage) {
      // What Node counts as keeping the process alive, of the kinds that we use.
      const held = () =>
        process.getActiveResourcesInfo().filter((kind) => ['Timeout', 'FSEventWrap', 'MessagePort'].includes(kind))
          .length
      const before = held()
      const client = stage.client()
      const job = await client.enqueue(other, undefined, REPLY)
      await until(() => held() <= before, 'an idle producer to hold nothing')
      const worker = await client.work({ handlers: [handle(other, () => {})] })
      await job.result()
      await worker.stop()
      await until(() => held() <= before, 'a stopped worker to hold nothing')
      await client.close()
    },
  },
  {
    promise: 'P6',
    level: 'runtime',
    name: 'a timeout aborts the signal and settles the attempt, even when the handler ignores it',
    needs: all(results, deadJobs),
    async run(stage) {
      const client = stage.client()
      const never = deferred()
      stage.after(() => never.resolve())
      const reasons: unknown[] = []
      await client.work({
        handlers: [
          handle(short, async (_, ctx) => {
            ctx.signal.addEventListener('abort', () => reasons.push((ctx.signal.reason as { code?: string }).code))
            await never.promise
          }),
        ],
      })
      const job = await client.enqueue(short, undefined, REPLY)
      assert.equal(await codeOf(() => job.result()), 'ERR_JOB_FAILED')
      const info = await job.info()
      assert.deepEqual([info.state, info.reason, info.attempt], ['dead', 'failed', 2])
      assert.deepEqual(
        info.errors.map((error) => error.name),
        ['JobTimeoutError', 'JobTimeoutError'],
      )
      assert.deepEqual(reasons, ['ERR_JOB_TIMEOUT', 'ERR_JOB_TIMEOUT'])
    },
  },
  {
    promise: 'P6',
    level: 'runtime',
    name: 'handlers that go on after timeout and grace count as abandoned, and so many as slots stop the intake',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const never = deferred()
      stage.after(() => never.resolve())
      const worker = await client.work(
        { concurrency: 1, handlers: [handle(shortOnce, () => never.promise), handle(other, () => {})] },
        { grace: 50 },
      )
      const stuck = await client.enqueue(shortOnce)
      assert.equal(await codeOf(() => stuck.result()), 'ERR_JOB_FAILED')
      await until(() => worker.health().abandoned === 1, 'the handler to count as abandoned')
      assert.equal(worker.health().ready, false)
      const job = await client.enqueue(other)
      assert.equal((await job.info()).run, 0)
      never.resolve()
      await job.result()
      assert.deepEqual([worker.health().ready, worker.health().abandoned], [true, 0])
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'a cancelled job that waits never runs',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const [ready, delayed, next] = [envelope(), envelope({ notBefore: Date.now() + 60_000 }), envelope()]
      await driver.broker.publish({ envelopes: [ready, delayed, next] })
      const { moved } = await driver.jobs.move({ ids: [ready.id, delayed.id], to: 'cancelled', limit: 10 })
      assert.equal(moved.length, 2)
      for (const { id } of [ready, delayed]) assert.equal((await recordOf(driver, id)).state, 'cancelled')
      assert.equal((await (await stage.hand(driver)).next()).envelope.id, next.id)
      assert.deepEqual((await driver.jobs.move({ ids: [ready.id], to: 'cancelled', limit: 1 })).moved, [])
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'a cancelled job in hand is told with the beat, stays active, and ends cancelled whatever the verb',
    needs: memory,
    async run(stage) {
      const [driver, operator] = [await stage.driver(), await stage.driver()]
      const verbs = ['ack', 'retry', 'dead', 'release'] as const
      const envelopes = verbs.map(() => envelope({ unique: { key: crypto.randomUUID(), until: 'finished' } }))
      await driver.broker.publish({ envelopes })
      const hand = await stage.hand(driver)
      await until(() => hand.deliveries.length === 4, 'four deliveries')
      const told: string[] = []
      for (const delivery of hand.deliveries) delivery.onLost((why) => told.push(why))
      await operator.jobs.move({ ids: envelopes.map(({ id }) => id), to: 'cancelled', limit: 10 })
      assert.deepEqual((await hand.beat()).revoked.toSorted(), envelopes.map(({ id }) => id).toSorted())
      assert.deepEqual(told, ['cancelled', 'cancelled', 'cancelled', 'cancelled'])
      const record = await recordOf(operator, envelopes[0]!.id)
      assert.deepEqual([record.state, record.cancelling], ['active', true])
      const error = { name: 'Error', message: 'x', at: 0 }
      await hand.deliveries[0]!.ack({ result: '1' })
      await hand.deliveries[1]!.retry({ delay: 0, error })
      await hand.deliveries[2]!.dead({ reason: 'failed', error })
      await hand.deliveries[3]!.release()
      for (const { id } of envelopes) assert.equal((await recordOf(operator, id)).state, 'cancelled')
    },
  },
  {
    promise: 'P7',
    level: 'runtime',
    name: 'a running handler gets its signal from a cancel in another process; result() says cancelled',
    needs: memory,
    async run(stage) {
      const [client, operator] = [stage.client(), stage.client()]
      const started = deferred()
      const keyed = defineTask('keyed', { queue: QUEUE, input: withNumber, unique: ({ n }) => String(n) })
      let code: string | undefined
      await client.work({
        handlers: [
          handle(keyed, async (_, ctx) => {
            started.resolve()
            await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()))
            code = (ctx.signal.reason as { code: string }).code
          }),
        ],
      })
      const job = await client.enqueue(keyed, { n: 1 })
      await started.promise
      assert.equal(await operator.job(keyed, job.id).cancel(), true)
      assert.equal(await codeOf(() => job.result()), 'ERR_JOB_CANCELLED')
      assert.equal(code, 'ERR_JOB_CANCELLED')
      assert.equal(await job.cancel(), false)
      assert.equal((await client.enqueue(keyed, { n: 1 })).duplicate, false)
    },
  },
]
