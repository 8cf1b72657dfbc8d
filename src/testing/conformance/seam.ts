// What the runtime builds on: state under compare-and-set, signals, queues, set-up and close.
import { defineTask } from '../../core/task.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, deadJobs, memory, results } from './needs.js'
import { assert, codeOf, deferred, envelope, QUEUE, until, REPLY } from './stage.js'
import { other, z } from './tasks.js'

export const seamCases: readonly ConformanceCase[] = [
  {
    promise: 'seam',
    level: 'driver',
    name: 'state is set under compare-and-set, and versions only grow, also across deletes',
    needs: memory,
    async run(stage) {
      const [a, b] = [(await stage.driver()).state, (await stage.driver()).state]
      const first = await a.set({ key: 'k', value: '1', expect: 'absent' })
      assert.ok(first !== undefined)
      assert.equal(await b.set({ key: 'k', value: '2', expect: 'absent' }), undefined)
      assert.equal(await b.set({ key: 'k', value: '2', expect: first + 1 }), undefined)
      const second = await b.set({ key: 'k', value: '2', expect: first })
      assert.ok(second! > first)
      assert.deepEqual(await a.get({ key: 'k' }), { key: 'k', value: '2', version: second })
      assert.equal(await a.delete({ key: 'k', expect: first }), false)
      assert.equal(await a.delete({ key: 'k', expect: second! }), true)
      assert.equal(await b.get({ key: 'k' }), undefined)
      assert.ok((await b.set({ key: 'k', value: '3', expect: 'absent' }))! > second!)
      const raced = await Promise.all(
        Array.from({ length: 10 }, (_, i) => [a, b][i % 2]!.set({ key: 'r', value: 'x', expect: 'absent' })),
      )
      assert.equal(raced.filter((version) => version !== undefined).length, 1)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'entries end with their ttl and are listed by prefix, whatever characters it has',
    needs: memory,
    async run(stage) {
      const { state } = await stage.driver()
      for (const key of ['a/1', 'a/2', 'a%', 'a_', 'b/1']) await state.set({ key, value: key })
      assert.deepEqual(
        (await state.list({ prefix: 'a/' })).map((entry) => entry.key),
        ['a/1', 'a/2'],
      )
      assert.deepEqual(
        (await state.list({ prefix: 'a%' })).map((entry) => entry.key),
        ['a%'],
      )
      await state.set({ key: 'a/3', value: 'x', ttl: 30 })
      await until(async () => (await state.get({ key: 'a/3' })) === undefined, 'the ttl')
      assert.equal((await state.list({ prefix: 'a/' })).length, 2)
      assert.ok((await state.set({ key: 'a/3', value: 'y', expect: 'absent' })) !== undefined)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'signals wake listeners of work and of ends, and off means off',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const heard: string[] = []
      const offs = [
        driver.signals.on('work', () => heard.push('work')),
        driver.signals.on('done', () => heard.push('done')),
      ]
      await driver.broker.publish({ envelopes: [envelope()] })
      await until(() => heard.includes('work'), 'a signal of work')
      await (await (await stage.hand(driver)).next()).ack()
      await until(() => heard.includes('done'), 'a signal of an end')
      for (const off of offs) off()
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'declare, list, remove and setup are idempotent, and setup may be raced',
    needs: memory,
    async run(stage) {
      const drivers = [await stage.driver(), await stage.driver()]
      await Promise.all(
        drivers.flatMap((driver) => [driver.setup(), driver.setup(), driver.broker.declare({ name: 'declared' })]),
      )
      await drivers[0]!.broker.declare({ name: 'declared' })
      await drivers[0]!.broker.publish({ envelopes: [envelope({ queue: 'implied' })] })
      assert.deepEqual(await drivers[1]!.broker.list(), ['declared', 'implied'])
      await drivers[1]!.broker.remove({ queue: 'implied' })
      assert.deepEqual(await drivers[0]!.broker.list(), ['declared'])
      assert.equal(await drivers[0]!.jobs.count({}), 0)
      await drivers[0]!.ping()
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'credit is never exceeded, 0 takes nothing, and stop leaves what is in hand to be settled',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      await driver.broker.publish({ envelopes: Array.from({ length: 6 }, () => envelope()) })
      const hand = await stage.hand(driver, { prefetch: 2 })
      await until(() => hand.deliveries.length === 2, 'two deliveries')
      hand.consumer.setPrefetch(0)
      await hand.deliveries[0]!.ack()
      hand.consumer.setPrefetch(3)
      await until(() => hand.deliveries.length === 4, 'three in hand')
      assert.equal((await driver.broker.stats({ queue: QUEUE })).active, 3)
      await hand.consumer.stop()
      assert.equal(await hand.consumer.closed, undefined)
      await hand.consumer.stop()
      await hand.deliveries[3]!.ack()
      assert.equal((await driver.broker.stats({ queue: QUEUE })).ready, 2)
      assert.equal(hand.deliveries.length, 4)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'after close every call is refused, and close may be repeated',
    async run(stage) {
      const driver = await stage.driver()
      await driver.close()
      await driver.close()
      for (const call of [
        () => driver.broker.publish({ envelopes: [envelope()] }),
        () => driver.jobs.list({ limit: 1 }),
        () => driver.state.get({ key: 'k' }),
        () => driver.ping(),
      ])
        assert.equal(await codeOf(call), 'ERR_CLIENT_CLOSED')
    },
  },
  {
    promise: 'seam',
    level: 'runtime',
    name: 'queues share a worker by weight, within their own limits and those of their handlers',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const names = ['heavy', 'light', 'capped'] as const
      const tasks = names.map((queue) => defineTask(queue, { queue }))
      for (const task of tasks)
        await client.enqueueMany(
          task,
          Array.from({ length: 40 }, () => undefined),
        )
      const order: string[] = []
      const atOnce = { now: 0, most: 0 }
      // Shares are of what several queues have: it begins when each of them has answered.
      const begin = deferred()
      const handlers = tasks.map((task) =>
        handle(
          task,
          async () => {
            await begin.promise
            order.push(task.name)
            if (task.name !== 'capped') return
            atOnce.most = Math.max(atOnce.most, ++atOnce.now)
            await new Promise((resolve) => setImmediate(resolve))
            atOnce.now -= 1
          },
          task.name === 'capped' ? { concurrency: 2 } : {},
        ),
      )
      await client.work({ concurrency: 4, queues: { heavy: { weight: 3 }, capped: { concurrency: 3 } }, handlers })
      await until(async () => {
        const queues = await client.queues.list()
        return names.every((queue) => (queues.find(({ name }) => name === queue)?.active ?? 0) > 0)
      }, 'a job of each queue in hand')
      begin.resolve()
      await until(
        async () => (await client.jobs.list({ states: ['completed'], limit: 1000 })).jobs.length === 120,
        'all jobs',
      )
      assert.ok(atOnce.most <= 2, `${atOnce.most} at once`)
      const early = order.slice(0, 40)
      const count = (name: string) => early.filter((one) => one === name).length
      assert.ok(count('heavy') > count('light'), `heavy ${count('heavy')}, light ${count('light')}`)
      assert.ok(count('light') > 0)
    },
  },
  {
    promise: 'seam',
    level: 'runtime',
    name: 'a worker whose quick handlers turn slow gives what it took ahead to an idle one',
    needs: memory,
    async run(stage) {
      const [busy, idle] = [stage.client(), stage.client()]
      const [blocked, finish] = [deferred(), deferred()]
      const jobs = await busy.enqueueMany(
        z,
        Array.from({ length: 400 }, (_, n) => ({ n })),
      )
      await busy.work({
        concurrency: 1,
        handlers: [
          handle(z, async ({ n }) => {
            if (n === 100) {
              blocked.resolve()
              await finish.promise
            }
            return { n }
          }),
        ],
      })
      await blocked.promise
      await idle.work({ handlers: [handle(z, (input) => input)] })
      // All but the one that blocks, which is still running meanwhile.
      await Promise.all(jobs.filter((_, n) => n !== 100).map((job) => job.result()))
      assert.equal((await jobs[100]!.info()).state, 'active')
      finish.resolve()
      await jobs[100]!.result()
    },
  },
  {
    promise: 'seam',
    level: 'runtime',
    name: 'middleware wraps every handler in order, and may fail the attempt but not skip it unseen',
    needs: all(results, deadJobs),
    async run(stage) {
      const client = stage.client()
      const seen: string[] = []
      let broken = false
      await client.work({
        middleware: [
          async (ctx, next) => {
            seen.push(`in ${ctx.job.name}`)
            await next()
            seen.push('out')
          },
          async (_ctx, next) => {
            if (!broken) await next()
          },
        ],
        handlers: [handle(other, () => void seen.push('handler'))],
      })
      await (await client.enqueue(other, undefined, REPLY)).result()
      assert.deepEqual(seen, ['in nothing', 'handler', 'out'])
      const forgetful = stage.client()
      const slow = defineTask('slow', { queue: 'slow', retry: false })
      await forgetful.work({
        middleware: [
          async (_ctx, next) => {
            void next()
          },
        ],
        handlers: [
          handle(slow, async () => {
            await new Promise((resolve) => setImmediate(resolve))
            throw new Error('late')
          }),
        ],
      })
      const late = await forgetful.enqueue(slow, undefined, REPLY)
      assert.equal(await codeOf(() => late.result()), 'ERR_JOB_FAILED')
      broken = true
      const job = await client.enqueue(other, undefined, REPLY)
      assert.equal(await codeOf(() => job.result()), 'ERR_JOB_FAILED')
      assert.match((await job.info()).errors[0]!.message, /without calling next/)
    },
  },
  {
    promise: 'seam',
    level: 'runtime',
    name: 'namespaces on one store do not see each other',
    needs: memory,
    async run(stage) {
      const [a, b] = [stage.client({ namespace: 'a' }), stage.client({ namespace: 'b' })]
      await a.enqueue(other, undefined, { id: 'same' })
      assert.equal((await b.enqueue(other, undefined, { id: 'same' })).duplicate, false)
      await b.jobs.cancel('same')
      assert.equal((await a.jobs.get('same'))!.state, 'ready')
    },
  },
]
