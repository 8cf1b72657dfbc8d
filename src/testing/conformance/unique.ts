// P10: unique per task and key.
import type { UniqueClaim } from '../../core/envelope.js'
import { defineTask } from '../../core/task.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { remembering } from './needs.js'
import { assert, codeOf, deferred, envelope, ERROR, QUEUE, recordOf, until } from './stage.js'
import { withNumber } from './tasks.js'

const needs: ConformanceCase['needs'] = (traits) => (traits.unique ? undefined : 'keeps no unique keys')
const keyed = (held: UniqueClaim['until'] = 'finished', name = 'task') =>
  envelope({ name, unique: { key: 'k', until: held } })

export const uniqueCases = remembering([
  {
    promise: 'P10',
    level: 'driver',
    name: 'a second job of the key is the standing one while that waits and runs; afterwards the key is free',
    needs,
    async run(stage) {
      const driver = await stage.driver()
      const publish = async (one = keyed()) => (await driver.broker.publish({ envelopes: [one] }))[0]!
      const first = await publish()
      assert.deepEqual(await publish(), { id: first.id, duplicate: true })
      assert.equal((await publish(keyed('finished', 'another task'))).duplicate, false)
      const hand = await stage.hand(driver)
      const delivery = await hand.next()
      assert.equal((await publish()).duplicate, true)
      await delivery.retry({ delay: 60_000, error: ERROR })
      assert.equal((await publish()).duplicate, true)
      await driver.jobs.move({ ids: [first.id], to: 'ready', limit: 1 })
      await until(() => hand.deliveries.length === 3, 'the retry')
      await hand.deliveries[2]!.ack()
      assert.equal((await publish()).duplicate, false)
    },
  },
  {
    promise: 'P10',
    level: 'driver',
    name: 'within one call and between two processes at once, a key makes one job',
    needs,
    async run(stage) {
      const drivers = [await stage.driver(), await stage.driver()]
      const [a, b] = [keyed(), keyed()]
      const receipts = await drivers[0]!.broker.publish({ envelopes: [a, b] })
      assert.deepEqual(
        receipts.map(({ id, duplicate }) => [id, duplicate]),
        [
          [a.id, false],
          [a.id, true],
        ],
      )
      const raced = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          drivers[i % 2]!.broker.publish({ envelopes: [keyed('finished', 'raced')] }),
        ),
      )
      assert.equal(raced.filter(([receipt]) => !receipt!.duplicate).length, 1)
      assert.equal(new Set(raced.map(([receipt]) => receipt!.id)).size, 1)
    },
  },
  {
    promise: 'P10',
    level: 'driver',
    name: "until 'started' frees the key when the job is handed over",
    needs,
    async run(stage) {
      const driver = await stage.driver()
      const [receipt] = await driver.broker.publish({ envelopes: [keyed('started')] })
      assert.equal((await driver.broker.publish({ envelopes: [keyed('started')] }))[0]!.id, receipt!.id)
      const hand = await stage.hand(driver, { prefetch: 1 })
      const delivery = await hand.next()
      hand.consumer.setPrefetch(0)
      // Given back without having run, it holds the key again.
      await delivery.release()
      assert.equal((await driver.broker.publish({ envelopes: [keyed('started')] }))[0]!.id, receipt!.id)
      hand.consumer.setPrefetch(1)
      const again = await hand.next()
      hand.consumer.setPrefetch(0)
      const next = keyed('started')
      assert.equal((await driver.broker.publish({ envelopes: [next] }))[0]!.duplicate, false)
      // Now the key is another's, and stays that.
      await again.release()
      assert.equal((await driver.broker.publish({ envelopes: [keyed('started')] }))[0]!.id, next.id)
    },
  },
  {
    promise: 'P10',
    level: 'driver',
    name: 'a duration holds the key so long after enqueue, also when the job has finished, and keeps the job with it',
    needs,
    async run(stage) {
      const driver = await stage.driver()
      await driver.broker.declare({ name: QUEUE }) // which may take a broker longer than the key is held
      const hand = await stage.hand(driver)
      const one = { ...keyed(1_000), keep: { completed: 0, dead: 0 } }
      await driver.broker.publish({ envelopes: [one] })
      await (await hand.next()).ack()
      assert.equal(await driver.jobs.prune({ limit: 10 }), 0)
      assert.equal((await driver.broker.publish({ envelopes: [keyed(1_000)] }))[0]!.id, one.id)
      await until(() => Date.now() > one.enqueuedAt + 1_000, 'the duration to end')
      assert.equal((await driver.broker.publish({ envelopes: [keyed(1_000)] }))[0]!.duplicate, false)
      assert.equal(await driver.jobs.prune({ limit: 10 }), 1)
    },
  },
  {
    promise: 'P10',
    level: 'driver',
    name: 'dead and cancelled free the key at once; retrying a dead job whose key is taken is refused, naming the holder',
    needs,
    async run(stage) {
      const driver = await stage.driver()
      const [cancelled, dead, holder] = [keyed(60_000), keyed(60_000), keyed(60_000)]
      await driver.broker.publish({ envelopes: [cancelled] })
      await driver.jobs.move({ ids: [cancelled.id], to: 'cancelled', limit: 1 })
      assert.equal((await driver.broker.publish({ envelopes: [dead] }))[0]!.duplicate, false)
      const hand = await stage.hand(driver, { prefetch: 1 })
      const delivery = await hand.next()
      hand.consumer.setPrefetch(0)
      await delivery.dead({ reason: 'failed', error: ERROR })
      assert.equal((await driver.broker.publish({ envelopes: [holder] }))[0]!.duplicate, false)
      const refused = await driver.jobs.move({ ids: [dead.id], to: 'ready', limit: 1 })
      assert.deepEqual(refused.moved, [{ id: dead.id, conflict: holder.id }])
      assert.equal((await recordOf(driver, dead.id)).state, 'dead')
      await driver.jobs.move({ ids: [holder.id], to: 'cancelled', limit: 1 })
      const revived = await driver.jobs.move({ ids: [dead.id], to: 'ready', limit: 1 })
      assert.deepEqual(revived.moved, [{ id: dead.id }])
      assert.equal((await driver.broker.publish({ envelopes: [keyed()] }))[0]!.id, dead.id)
    },
  },
  {
    promise: 'P10',
    level: 'runtime',
    name: "the task's key function and the caller's key both hold, and the duplicate gives the standing job's result",
    needs,
    async run(stage) {
      const client = stage.client()
      const task = defineTask('once', {
        queue: QUEUE,
        input: withNumber,
        output: withNumber,
        unique: ({ n }) => `n${n}`,
      })
      const gate = deferred()
      let runs = 0
      await client.work({
        handlers: [
          handle(task, async ({ n }) => {
            await gate.promise
            return { n: n * 10 + runs++ }
          }),
        ],
      })
      const jobs = [
        await client.enqueue(task, { n: 1 }),
        await client.enqueue(task, { n: 1 }),
        await client.enqueue(task, { n: 2 }),
      ]
      assert.deepEqual(
        jobs.map((job) => job.duplicate),
        [false, true, false],
      )
      const own = await client.enqueue(task, { n: 1 }, { unique: 'mine' })
      assert.equal(own.duplicate, false)
      gate.resolve()
      assert.deepEqual(await jobs[0]!.result(), await jobs[1]!.result())
      await Promise.all([jobs[2]!.result(), own.result()])
      assert.equal(runs, 3)
      const many = await client.enqueueMany(task, [{ n: 7 }, { n: 7 }, { n: 8 }])
      assert.deepEqual(
        many.map((job) => job.duplicate),
        [false, true, false],
      )
    },
  },
  {
    promise: 'P10',
    level: 'runtime',
    name: 'jobs.retry of an id whose key is taken rejects and names the holder',
    needs,
    async run(stage) {
      const client = stage.client()
      const task = defineTask('fragile', { queue: QUEUE, retry: false })
      const worker = await client.work({
        handlers: [
          handle(task, () => {
            throw new Error('broken')
          }),
        ],
      })
      const dead = await client.enqueue(task, undefined, { unique: 'key' })
      assert.equal(await codeOf(() => dead.result()), 'ERR_JOB_FAILED')
      await worker.stop()
      const holder = await client.enqueue(task, undefined, { unique: 'key' })
      await assert.rejects(client.jobs.retry(dead.id), { code: 'ERR_JOB_CONFLICT', holder: holder.id })
      assert.equal(await client.jobs.retry({ states: ['dead'] }), 0)
    },
  },
])
