// What holds of every broker, seen by what it hands over rather than by what it remembers. P1 to P9 of the ports alone.
import { subscriptionTask } from '../../core/event.js'
import { newId } from '../../core/id.js'
import type { Delivery, StatefulDriver } from '../../driver/driver.js'
import type { EventEnvelope } from '../../driver/events.js'
import type { ConformanceCase } from './case.js'
import { deadJobs, noMemory } from './needs.js'
import { assert, codeOf, envelope, ERROR, QUEUE, until } from './stage.js'

const delays: ConformanceCase['needs'] & {} = (traits) => (traits.delay ? undefined : 'has no delays')

function event(name: string): EventEnvelope {
  const id = newId()
  const body = JSON.stringify({ specversion: '1.0', id, source: 'case', type: name, time: new Date(0).toISOString() })
  return { id, name, body, headers: {}, publishedAt: Date.now(), keep: { completed: 0, dead: 60_000, log: 60_000 } }
}

const subscribe = (driver: StatefulDriver<any>, name: string, ...patterns: string[]) =>
  driver.events.declare({ name, queue: subscriptionTask(name), patterns })

const idsOf = (deliveries: readonly Delivery<any>[]) => deliveries.map((one) => one.envelope.id)

export const movingCases: readonly ConformanceCase[] = [
  {
    promise: 'P1',
    level: 'driver',
    name: 'what was published is handed over as it was, each once, to whoever consumes later',
    async run(stage) {
      const producer = await stage.driver()
      const envelopes = Array.from({ length: 50 }, (_, i) => envelope({ body: `{"i":${i}}`, headers: { h: 'é' } }))
      const receipts = await producer.broker.publish({ envelopes })
      assert.deepEqual(
        receipts,
        envelopes.map(({ id }) => ({ id, duplicate: false })),
      )
      const hand = await stage.hand(await stage.driver(), { prefetch: 100 })
      await until(() => hand.deliveries.length === 50, 'all of them')
      const byId = new Map(hand.deliveries.map((one) => [one.envelope.id, one]))
      for (const sent of envelopes) {
        const got = byId.get(sent.id)!
        assert.deepEqual(got.envelope, sent)
        assert.deepEqual([got.run, got.attempt, got.crashes, got.suspect], [1, 1, 0, false])
        await got.ack()
      }
      assert.equal((await producer.broker.stats({ queue: QUEUE })).ready, 0)
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'a delivery is settled by one verb; a second one is refused',
    async run(stage) {
      const driver = await stage.driver()
      await driver.broker.publish({ envelopes: [envelope()] })
      const delivery = await (await stage.hand(driver)).next()
      await delivery.ack({ result: '{"ok":true}' })
      for (const verb of [
        () => delivery.ack(),
        () => delivery.retry({ delay: 0, error: ERROR }),
        () => delivery.dead({ reason: 'failed', error: ERROR }),
        () => delivery.release(),
      ])
        assert.equal(await codeOf(verb), 'ERR_ALREADY_SETTLED')
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'credit is never exceeded, 0 takes nothing, and stop leaves what is in hand to be settled',
    async run(stage) {
      const driver = await stage.driver()
      await driver.broker.publish({ envelopes: Array.from({ length: 6 }, () => envelope()) })
      const hand = await stage.hand(driver, { prefetch: 2 })
      await until(() => hand.deliveries.length === 2, 'two deliveries')
      hand.consumer.setPrefetch(0)
      await hand.deliveries[0]!.ack()
      hand.consumer.setPrefetch(3)
      await until(() => hand.deliveries.length === 4, 'three in hand')
      await hand.consumer.stop()
      await hand.consumer.stop()
      assert.equal(await hand.consumer.closed, undefined)
      for (const delivery of hand.deliveries.slice(1)) await delivery.ack()
      assert.equal(hand.deliveries.length, 4)
      const next = await stage.hand(driver)
      await until(() => next.deliveries.length === 2, 'the rest')
      assert.equal(new Set(idsOf([...hand.deliveries, ...next.deliveries])).size, 6)
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'two consumers share the jobs of a queue, and none is handed over twice',
    async run(stage) {
      const drivers = [await stage.driver(), await stage.driver()]
      const hands = [await stage.hand(drivers[0]!, { prefetch: 5 }), await stage.hand(drivers[1]!, { prefetch: 5 })]
      const envelopes = Array.from({ length: 100 }, () => envelope())
      await drivers[0]!.broker.publish({ envelopes })
      const seen: string[] = []
      await Promise.all(
        hands.map(async (hand) => {
          while (seen.length < envelopes.length) {
            await until(() => seen.length >= envelopes.length || hand.deliveries.length > 0, 'a delivery')
            const delivery = hand.deliveries.shift()
            if (!delivery) continue
            seen.push(delivery.envelope.id)
            await delivery.ack()
          }
        }),
      )
      assert.deepEqual(seen.toSorted(), envelopes.map(({ id }) => id).toSorted())
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'children published with an ack are handed over',
    async run(stage) {
      const driver = await stage.driver()
      const child = envelope({ queue: 'children' })
      await driver.broker.publish({ envelopes: [envelope()] })
      await (await (await stage.hand(driver)).next()).ack({ publish: [child] })
      const got = await (await stage.hand(driver, { queue: 'children' })).next()
      assert.deepEqual(got.envelope, child)
      await got.ack()
    },
  },
  {
    promise: 'P5',
    level: 'driver',
    name: 'a retry comes back with the next attempt, not before its delay; what is given back spends none',
    needs: delays,
    async run(stage) {
      const driver = await stage.driver()
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(driver)
      await (await hand.next()).release()
      const first = await hand.next()
      assert.deepEqual([first.attempt, first.crashes], [1, 0])
      const since = Date.now()
      await first.retry({ delay: 150, error: ERROR })
      const second = await hand.next()
      assert.ok(Date.now() - since >= 150, 'not early')
      assert.deepEqual([second.envelope.id, second.attempt, second.crashes], [one.id, 2, 0])
      assert.ok(second.run > first.run, 'runs only grow')
      await second.release({ delay: 50, why: 'no-handler' })
      const third = await hand.next()
      assert.deepEqual([third.attempt, third.blocked?.why], [2, 'no-handler'])
      await third.ack()
    },
  },
  {
    promise: 'P5',
    level: 'driver',
    name: 'dead jobs are listed by filter and page by page, as often as one looks, and retried with fresh attempts',
    needs: deadJobs,
    async run(stage) {
      const [driver, operator] = [await stage.driver(), await stage.driver()]
      const envelopes = Array.from({ length: 5 }, (_, i) => envelope({ name: i % 2 ? 'odd' : 'even', enqueuedAt: i }))
      await driver.broker.publish({ envelopes })
      const hand = await stage.hand(driver)
      await until(() => hand.deliveries.length === 5, 'five deliveries')
      hand.consumer.setPrefetch(0)
      for (const { id } of envelopes) {
        const delivery = hand.deliveries.find((one) => one.envelope.id === id)!
        await delivery.dead({ reason: 'failed', error: { ...ERROR, message: `of ${delivery.envelope.enqueuedAt}` } })
      }
      const { jobs } = operator
      const places = async (q: object) =>
        (await jobs.list({ states: ['dead'], limit: 10, ...q })).jobs
          .map((job) => job.envelope.enqueuedAt)
          .toSorted((a, b) => a - b)
      await until(async () => (await places({})).length === 5, 'five dead jobs')
      assert.deepEqual(await places({}), [0, 1, 2, 3, 4], 'looking takes nothing away')
      assert.deepEqual(await places({ name: 'odd' }), [1, 3])
      assert.deepEqual(await places({ error: 'OF 3' }), [3])
      assert.deepEqual(await places({ reason: 'expired' }), [])
      assert.deepEqual(await places({ since: 1, before: 3 }), [1, 2])
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await jobs.list({ states: ['dead'], limit: 2, ...(cursor !== undefined && { cursor }) })
        assert.ok(page.jobs.length <= 2)
        seen.push(...page.jobs.map((job) => job.envelope.id))
        cursor = page.cursor
      } while (cursor !== undefined)
      assert.deepEqual(seen.toSorted(), envelopes.map(({ id }) => id).toSorted())
      const [record] = await jobs.get({ ids: [envelopes[3]!.id] })
      assert.deepEqual([record!.state, record!.reason, record!.attempt], ['dead', 'failed', 1])
      assert.equal(record!.errors.at(-1)!.message, 'of 3')
      const { moved } = await jobs.move({ ids: [envelopes[3]!.id], to: 'ready', limit: 1 })
      assert.deepEqual(moved, [{ id: envelopes[3]!.id }])
      hand.consumer.setPrefetch(1)
      await until(() => hand.deliveries.length === 6, 'the retried job')
      const again = hand.deliveries[5]!
      assert.deepEqual([again.envelope.id, again.attempt, again.crashes], [envelopes[3]!.id, 1, 0])
      await again.ack()
      await until(async () => (await places({})).length === 4, 'it to be dead no longer')
      await jobs.move({ states: ['dead'], name: 'even', to: 'deleted', limit: 10 })
      await until(async () => (await places({})).length === 1, 'the deleted to be gone')
    },
  },
  {
    promise: 'P8',
    level: 'driver',
    name: 'delayed jobs are not handed over early, and come in the order of their times',
    needs: delays,
    async run(stage) {
      const driver = await stage.driver()
      const hand = await stage.hand(driver)
      const now = Date.now()
      // Far enough apart for brokers that are late by a second.
      const waits = [3_000, 100]
      await driver.broker.publish({
        envelopes: waits.map((ms) => envelope({ notBefore: now + ms, body: String(ms) })),
      })
      for (const ms of [100, 3_000]) {
        const delivery = await hand.next()
        assert.ok(Date.now() >= now + ms, `${now + ms - Date.now()} ms early`)
        assert.deepEqual([delivery.envelope.body, delivery.attempt], [String(ms), 1])
        await delivery.ack()
      }
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'every subscription with a pattern that fits is handed one copy, and a removed one none',
    async run(stage) {
      const [driver, producer] = [await stage.driver(), await stage.driver()]
      const before = event('order.paid')
      await producer.events.publish({ events: [before] }) // no subscriber is no error
      await subscribe(driver, 'twice', 'order.*', 'order.paid')
      await subscribe(driver, 'all', '#')
      await subscribe(driver, 'other', 'order', 'order.*.paid', 'shop.#')
      await subscribe(driver, 'gone', '#')
      assert.deepEqual(
        (await producer.events.subscriptions()).map(({ name }) => name),
        ['all', 'gone', 'other', 'twice'],
      )
      assert.equal(await driver.events.remove({ name: 'gone' }), true)
      assert.equal(await driver.events.remove({ name: 'gone' }), false)
      const [one, last] = [event('order.paid'), event('shop.closed')]
      const receipts = await producer.events.publish({ events: [one, last] })
      assert.deepEqual(receipts, [
        { id: one.id, duplicate: false },
        { id: last.id, duplicate: false },
      ])
      for (const [name, events] of [
        ['twice', [one]],
        ['all', [one, last]],
        ['other', [last]],
        ['gone', []],
      ] as const) {
        const queue = subscriptionTask(name)
        const hand = await stage.hand(driver, { queue })
        const copies = events.map(({ id }) => `${id}/${name}`)
        // The copies of a pair are handed over by a sweep.
        if (driver.traits.returns === 'at-end')
          await until(() => hand.deliveries.length >= copies.length, 'the copies that wait there')
        // A job behind the copies: once it is there, so are they.
        await producer.broker.publish({ envelopes: [envelope({ id: `${name}-end`, queue })] })
        await until(() => idsOf(hand.deliveries).includes(`${name}-end`), 'what waits there')
        assert.deepEqual(idsOf(hand.deliveries), [...copies, `${name}-end`])
        const [copy] = hand.deliveries
        if (events.length > 0) assert.deepEqual([copy!.envelope.name, copy!.envelope.body], [queue, events[0]!.body])
        for (const delivery of hand.deliveries) await delivery.ack()
      }
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'what a process that is gone had in hand is handed to another, as suspect and unspent',
    needs: noMemory,
    async run(stage) {
      const [victim, heir] = [await stage.driver(), await stage.driver()]
      const one = envelope()
      await victim.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(victim)
      const held = await hand.next()
      const lost: string[] = []
      held.onLost((why) => lost.push(why))
      await victim.close()
      const again = await (await stage.hand(heir)).next()
      assert.deepEqual([again.envelope.id, again.attempt, again.crashes, again.suspect], [one.id, 1, 0, true])
      assert.notEqual(await codeOf(() => held.ack()), 'no error')
      await again.start()
      await again.ack()
    },
  },
]
