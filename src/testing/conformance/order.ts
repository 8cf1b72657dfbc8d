// P8: delay. P9: priority.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Delivery } from '../../driver/driver.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, memory } from './needs.js'
import { assert, envelope, QUEUE, recordOf, until, type Hand } from './stage.js'
import { other } from './tasks.js'

const delays: ConformanceCase['needs'] & {} = (traits) => (traits.delay ? undefined : 'has no delays')

/** A handler that is slower than a broker's next message. */
const TAKES = 60

async function take(hand: Hand, n: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < n; i++) {
    const delivery = await hand.next()
    ids.push(delivery.envelope.body)
    await delivery.ack()
  }
  return ids
}

export const orderCases: readonly ConformanceCase[] = [
  {
    promise: 'P8',
    level: 'driver',
    name: 'a delayed job is scheduled, is never handed over early, and comes without anybody asking',
    needs: all(memory, delays),
    async run(stage) {
      const driver = await stage.driver()
      const hand = await stage.hand(driver)
      const due = Date.now() + 150
      const one = envelope({ notBefore: due })
      await driver.broker.publish({ envelopes: [one] })
      assert.equal((await recordOf(driver, one.id)).state, 'scheduled')
      assert.equal((await driver.broker.stats({ queue: QUEUE })).scheduled, 1)
      const delivery = await hand.next()
      assert.ok(Date.now() >= due, `${due - Date.now()} ms early`)
      assert.equal(delivery.attempt, 1)
    },
  },
  {
    promise: 'P8',
    level: 'driver',
    name: 'delayed jobs come in the order of their times, and a due one counts as ready before anybody took it',
    needs: all(memory, delays),
    async run(stage) {
      const driver = await stage.driver()
      const now = Date.now()
      const waits = [120, 40, 80]
      await driver.broker.publish({
        envelopes: waits.map((ms) => envelope({ notBefore: now + ms, body: String(ms) })),
      })
      await until(async () => (await driver.broker.stats({ queue: QUEUE })).ready === 3, 'all to be due')
      assert.equal(await driver.jobs.count({ states: ['ready'] }), 3)
      assert.deepEqual(await take(await stage.hand(driver, { prefetch: 1 }), 3), ['40', '80', '120'])
    },
  },
  {
    promise: 'P8',
    level: 'runtime',
    name: 'delay and runAt hold, and an operator can run a delayed job now',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const starts = new Map<string, number>()
      await client.work({ handlers: [handle(other, (_, ctx) => void starts.set(ctx.job.id, Date.now()))] })
      const at = new Date(Date.now() + 120)
      const [delayed, timed, far] = [
        await client.enqueue(other, undefined, { delay: '100ms' }),
        await client.enqueue(other, undefined, { runAt: at }),
        await client.enqueue(other, undefined, { delay: '1h' }),
      ]
      const due = (await delayed.info()).dueAt.getTime()
      await Promise.all([delayed.result(), timed.result()])
      assert.ok(starts.get(delayed.id)! >= due)
      assert.ok(starts.get(timed.id)! >= at.getTime())
      assert.equal((await far.info()).state, 'scheduled')
      assert.equal(await client.jobs.retry({ ids: [far.id], states: ['scheduled'] }), 1)
      await far.result()
    },
  },
  {
    promise: 'P9',
    level: 'driver',
    name: 'higher priorities come first; within one, first ready is first out',
    needs: (traits) => (traits.priorities === 0 ? 'has no priorities' : undefined),
    async run(stage) {
      const driver = await stage.driver()
      const enqueuedAt = Date.now()
      const envelopes = [4, 0, 9, 4, 5, 0, 3].map((priority, i) =>
        envelope({ priority, body: `${priority}/${i}`, enqueuedAt }),
      )
      await driver.broker.publish({ envelopes })
      const order = await take(await stage.hand(driver, { prefetch: 1 }), envelopes.length)
      // Three levels are: above the default, the default, and below it.
      const low = driver.traits.priorities === 10 ? ['3/6', '0/1', '0/5'] : ['0/1', '0/5', '3/6']
      assert.deepEqual(order, ['9/2', '5/4', '4/0', '4/3', ...low])
    },
  },
  {
    promise: 'P9',
    level: 'driver',
    name: 'less urgent jobs do not slip in between more urgent ones that take their time',
    needs: (traits) => (traits.priorities === 0 ? 'has no priorities' : undefined),
    async run(stage) {
      const driver = await stage.driver()
      const levels = ['9', '4', '1']
      for (const prefetch of [1, 3]) {
        const queue = `slow-${prefetch}`
        const hand = await stage.hand(driver, { queue, prefetch })
        const envelopes = Array.from({ length: 24 }, (_, i) => levels[i % 3]!).map((level) =>
          envelope({ queue, priority: Number(level), body: level }),
        )
        await driver.broker.publish({ envelopes })
        const order: string[] = []
        while (order.length < envelopes.length) {
          const inHand: Delivery<any>[] = []
          while (inHand.length < prefetch) inHand.push(await hand.next())
          order.push(...inHand.map((one) => one.envelope.body))
          await sleep(TAKES)
          await Promise.all(inHand.map((one) => one.ack()))
        }
        // Whoever came first was in hand before the others were there.
        const rest = order.slice(prefetch)
        assert.deepEqual(rest, rest.toSorted().toReversed(), `${prefetch} at a time`)
      }
    },
  },
  {
    promise: 'P9',
    level: 'driver',
    name: 'a job given back keeps its place',
    needs: (traits, place, driver) =>
      // a broker may put it behind the others
      traits.returns === 'at-end' ? 'a job given back waits behind the others' : memory(traits, place, driver),
    async run(stage) {
      const driver = await stage.driver()
      const enqueuedAt = Date.now()
      await driver.broker.publish({ envelopes: ['a', 'b', 'c'].map((body) => envelope({ body, enqueuedAt })) })
      const hand = await stage.hand(driver, { prefetch: 1 })
      await (await hand.next()).release()
      assert.deepEqual(await take(hand, 3), ['a', 'b', 'c'])
    },
  },
]
