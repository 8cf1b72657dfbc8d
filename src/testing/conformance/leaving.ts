// What moving jobs to another driver stands on: jobs that are held, out of every worker's reach, until they are gone.
import type { Leaving } from '../../driver/leaving.js'
import type { Traits } from '../../driver/driver.js'
import type { ConformanceCase } from './case.js'
import type { Place } from './place.js'
import { assert, envelope, ERROR, QUEUE, until, type Stage } from './stage.js'

const needs = (_traits: Traits, place: Place) =>
  place.open({}).leaving === undefined ? 'its jobs leave by way of a consumer' : undefined

async function leavingOf(stage: Stage): Promise<Leaving> {
  const { leaving } = await stage.driver()
  assert.ok(leaving)
  return leaving
}

export const leavingCases: readonly ConformanceCase[] = [
  {
    promise: 'seam',
    level: 'driver',
    name: 'held jobs are taken by no worker, also when who held them is gone; given back, they run',
    needs,
    async run(stage) {
      const driver = await stage.driver()
      const holder = await stage.driver()
      const [first, second] = [envelope({ priority: 9 }), envelope()]
      await driver.broker.publish({ envelopes: [second, first] })
      const held = await holder.leaving!.hold({ queue: QUEUE, limit: 10 })
      assert.deepEqual(
        held.map((one) => one.id),
        [first.id, second.id],
      )
      assert.deepEqual(held[0], first)
      await holder.close()
      const hand = await stage.hand(driver)
      const marker = envelope()
      await driver.broker.publish({ envelopes: [marker] })
      assert.equal((await hand.next()).envelope.id, marker.id)
      assert.equal((await driver.broker.stats({ queue: QUEUE })).ready, 0)
      assert.equal(await driver.broker.purge({ queue: QUEUE }), 0)
      assert.equal(await driver.leaving!.giveBack({ queue: QUEUE, ids: held.map((one) => one.id) }), 2)
      // The hand is open, so each comes as soon as it can: a broker brings levels over queues of their own.
      const back = [(await hand.next()).envelope, (await hand.next()).envelope]
      assert.deepEqual(
        back.toSorted((a, b) => b.priority - a.priority),
        [first, second],
      )
      assert.deepEqual((await driver.leaving!.held({ queue: QUEUE, limit: 10 })).envelopes, [])
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'what waits can be held, with what is left of its delay and key; what is in hands or has ended cannot',
    needs,
    async run(stage) {
      const driver = await stage.driver()
      const leaving = driver.leaving!
      const hand = await stage.hand(driver, { prefetch: 1 })
      const [dead, active] = [envelope(), envelope()]
      await driver.broker.publish({ envelopes: [dead] })
      await (await hand.next()).dead({ reason: 'failed', error: ERROR })
      await driver.broker.publish({ envelopes: [active] })
      const delivery = await hand.next()
      hand.consumer.setPrefetch(0)
      const later = envelope({ notBefore: Date.now() + 60_000, headers: { a: 'b' }, group: 'g' })
      const keyed = envelope({ unique: { key: 'k', until: 'finished' }, expiresAt: Date.now() + 90_000 })
      await driver.broker.publish({ envelopes: [later, keyed, envelope({ queue: 'another' })] })
      const held = await leaving.hold({ queue: QUEUE, limit: 10 })
      assert.deepEqual(held, [keyed, later])
      assert.deepEqual(await leaving.hold({ queue: QUEUE, limit: 10 }), [])
      await delivery.retry({ delay: 60_000, error: ERROR })
      const [retrying] = await leaving.hold({ queue: QUEUE, limit: 10 })
      assert.equal(retrying?.id, active.id)
      assert.ok(retrying.notBefore! > Date.now() + 30_000)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'everybody finds what is held, page by page, and once it is gone nobody does',
    needs,
    async run(stage) {
      const [a, b] = [await leavingOf(stage), await leavingOf(stage)]
      const driver = await stage.driver()
      const envelopes = Array.from({ length: 5 }, () => envelope())
      await driver.broker.publish({ envelopes })
      const held = [...(await a.hold({ queue: QUEUE, limit: 2 })), ...(await b.hold({ queue: QUEUE, limit: 3 }))]
      assert.equal(new Set(held.map((one) => one.id)).size, 5)
      const found: string[] = []
      let cursor: string | undefined
      do {
        const page = await b.held({ queue: QUEUE, limit: 2, ...(cursor !== undefined && { cursor }) })
        found.push(...page.envelopes.map((one) => one.id))
        cursor = page.cursor
      } while (cursor !== undefined)
      assert.deepEqual(found.sort(), envelopes.map((one) => one.id).sort())
      await a.gone({ queue: QUEUE, ids: found.slice(0, 4) })
      await b.gone({ queue: QUEUE, ids: found.slice(0, 4) })
      assert.equal(await driver.jobs.count({}), 1)
      // The same id once more is another job, which is not held.
      await driver.broker.publish({ envelopes: [envelope({ id: found[0]! })] })
      await b.gone({ queue: QUEUE, ids: found })
      assert.equal(await b.giveBack({ queue: QUEUE, ids: found }), 0)
      await until(async () => (await driver.jobs.count({})) === 1, 'the new one alone')
    },
  },
]
