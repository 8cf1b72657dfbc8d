// P3: crash recovery in seconds, seen by counters, and only a started run can crash.
import { remembering } from './needs.js'
import { assert, envelope, recordOf, until, type Hand, type Stage } from './stage.js'
import { other } from './tasks.js'

const lease = 400

/** Beat until the watched worker's jobs are taken from it. */
async function beatUntil(hand: Hand, condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  await until(async () => {
    await hand.beat()
    return condition()
  }, what)
}

/** A worker that takes jobs and then falls silent. */
async function victim(stage: Stage, prefetch: number) {
  const driver = await stage.driver({ lease, maxCrashes: 3 })
  const hand = await stage.hand(driver, { prefetch })
  return { driver, hand }
}

export const crashCases = remembering([
  {
    promise: 'P3',
    level: 'driver',
    name: 'jobs of a dead worker come back as suspects, uncounted and unspent',
    async run(stage) {
      const { driver, hand } = await victim(stage, 3)
      const envelopes = [envelope(), envelope(), envelope()]
      await driver.broker.publish({ envelopes })
      await until(() => hand.deliveries.length === 3, 'three deliveries')
      const watcher = await stage.driver({ lease })
      const watching = await stage.hand(watcher, { prefetch: 0 })
      await beatUntil(
        watching,
        async () => (await watcher.jobs.count({ states: ['ready'] })) === 3,
        'the jobs to come back',
      )
      for (const record of await watcher.jobs.get({ ids: envelopes.map(({ id }) => id) }))
        assert.deepEqual([record.suspect, record.crashes, record.attempt, record.run], [true, 0, 0, 1])
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'suspects are handed over one at a time to a consumer',
    async run(stage) {
      const { driver, hand } = await victim(stage, 3)
      await driver.broker.publish({ envelopes: [envelope(), envelope(), envelope()] })
      await until(() => hand.deliveries.length === 3, 'three deliveries')
      const watcher = await stage.driver({ lease })
      const next = await stage.hand(watcher, { prefetch: 10 })
      await beatUntil(next, () => next.deliveries.length > 0, 'the first suspect')
      // A job that is no suspect still comes beside it.
      const fresh = envelope()
      await watcher.broker.publish({ envelopes: [fresh] })
      await until(() => next.deliveries.some((one) => one.envelope.id === fresh.id), 'the fresh job')
      assert.deepEqual(
        next.deliveries.map((one) => one.suspect),
        [true, false],
      )
      await next.deliveries[0]!.ack()
      await until(() => next.deliveries.length === 3, 'the second suspect')
      assert.equal(next.deliveries[2]!.suspect, true)
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'only a start that was written counts as a crash; after maxCrashes the job is dead, reason crashed',
    async run(stage) {
      const one = envelope()
      await (await stage.driver()).broker.publish({ envelopes: [one] })
      const watcher = await stage.driver({ lease, maxCrashes: 3 })
      const watching = await stage.hand(watcher, { prefetch: 0 })
      const crashed = async (n: number) => {
        const { hand } = await victim(stage, 1)
        const delivery = await hand.next()
        assert.deepEqual([delivery.crashes, delivery.attempt], [Math.max(0, n - 1), 1])
        if (delivery.suspect) await delivery.start()
        await hand.consumer.stop()
        await beatUntil(
          watching,
          async () => (await recordOf(watcher, one.id)).state !== 'active',
          'the job to come back',
        )
        return recordOf(watcher, one.id)
      }
      // The first death makes a suspect; nobody knows whether its handler had begun.
      const states = [await crashed(0), await crashed(1), await crashed(2), await crashed(3)]
      assert.deepEqual(
        states.map((r) => [r.state, r.crashes]),
        [
          ['ready', 0],
          ['ready', 1],
          ['ready', 2],
          ['dead', 3],
        ],
      )
      assert.equal(states[3]!.reason, 'crashed')
      assert.equal(states[3]!.attempt, 0)
      assert.match(states[3]!.errors.at(-1)!.message, /died 3 times/)
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'what a stopping worker leaves behind has not crashed',
    async run(stage) {
      const one = envelope()
      const { driver, hand } = await victim(stage, 1)
      await driver.broker.publish({ envelopes: [one] })
      const delivery = await hand.next()
      await delivery.start()
      await hand.beat({ stopping: true })
      await hand.consumer.stop()
      const watcher = await stage.driver({ lease })
      const watching = await stage.hand(watcher, { prefetch: 0 })
      await beatUntil(watching, async () => (await recordOf(watcher, one.id)).state === 'ready', 'the job to come back')
      const record = await recordOf(watcher, one.id)
      assert.deepEqual([record.suspect, record.crashes], [false, 0])
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'a worker that signs off gives its jobs back at once',
    async run(stage) {
      const { driver, hand } = await victim(stage, 2)
      await driver.broker.publish({ envelopes: [envelope(), envelope()] })
      await until(() => hand.deliveries.length === 2, 'two deliveries')
      await hand.consumer.stop()
      await hand.leave()
      assert.equal(await driver.jobs.count({ states: ['ready'] }), 2)
      assert.deepEqual(
        (await driver.workers.list()).filter((one) => one.worker === hand.worker),
        [],
      )
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'when all workers fall silent together, nobody is taken for dead when they wake',
    async run(stage) {
      const driver = await stage.driver({ lease })
      await driver.broker.publish({ envelopes: [envelope()] })
      const [a, b] = [await stage.hand(driver), await stage.hand(driver, { prefetch: 0 })]
      const delivery = await a.next()
      await b.beat()
      const silentUntil = performance.now() + lease * 2
      await until(() => performance.now() > silentUntil, 'two leases of silence')
      await b.beat() // would bury `a` if it trusted what it saw before its own gap
      await a.beat()
      await delivery.ack()
      assert.equal((await recordOf(driver, delivery.envelope.id)).state, 'completed')
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'a consumer without a beat gets nothing: its death would strand what it holds',
    async run(stage) {
      const driver = await stage.driver()
      const hand = await stage.hand(driver)
      await hand.leave()
      await driver.broker.publish({ envelopes: [envelope()] })
      const proof = await stage.hand(driver, { prefetch: 1 })
      assert.ok(await proof.next())
      assert.equal(hand.deliveries.length, 0)
    },
  },
  {
    promise: 'P3',
    level: 'runtime',
    name: 'a worker works what a dead one left, and a crash spends no attempt',
    async run(stage) {
      const { driver, hand } = await victim(stage, 1)
      const one = envelope({ name: other.name, body: '' })
      await driver.broker.publish({ envelopes: [one] })
      await hand.next()
      const client = stage.client({ lease })
      const { handle } = await import('../../worker/define.js')
      const attempts: number[] = []
      await client.work({ handlers: [handle(other, (_, ctx) => void attempts.push(ctx.job.attempt))] })
      await client.job(other, one.id).result()
      assert.deepEqual(attempts, [1])
    },
  },
])
