// P2: at least once, settled once.
import type { ConformanceCase } from './case.js'
import { memory } from './needs.js'
import { assert, codeOf, envelope, ERROR, recordOf, until } from './stage.js'

export const settleCases: readonly ConformanceCase[] = [
  {
    promise: 'P2',
    level: 'driver',
    name: 'an ack keeps state and result in one step, and frees the credit',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const [first, second] = [envelope(), envelope()]
      await driver.broker.publish({ envelopes: [first, second] })
      const hand = await stage.hand(driver, { prefetch: 1 })
      const delivery = await hand.next()
      assert.equal(delivery.envelope.id, first.id)
      assert.deepEqual([delivery.run, delivery.attempt, delivery.crashes, delivery.suspect], [1, 1, 0, false])
      assert.equal((await recordOf(driver, first.id)).state, 'active')
      await delivery.ack({ result: '{"ok":true}' })
      const record = await recordOf(driver, first.id)
      assert.deepEqual([record.state, record.result, record.attempt, record.run], ['completed', '{"ok":true}', 1, 1])
      assert.ok(record.finishedAt! >= record.startedAt!)
      assert.equal((await hand.next()).envelope.id, second.id)
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'a delivery is settled once; a second verb is refused and changes nothing',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const delivery = await (await stage.hand(driver)).next()
      await delivery.ack()
      for (const verb of [
        () => delivery.ack(),
        () => delivery.retry({ delay: 0, error: ERROR }),
        () => delivery.dead({ reason: 'failed', error: ERROR }),
        () => delivery.release(),
      ])
        assert.equal(await codeOf(verb), 'ERR_ALREADY_SETTLED')
      assert.equal((await recordOf(driver, one.id)).state, 'completed')
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'a worker that slept through its lease settles nothing; the run that took over does',
    needs: memory,
    async run(stage) {
      const lease = 400
      const [sleeper, watcher] = [await stage.driver({ lease }), await stage.driver({ lease })]
      const one = envelope()
      await sleeper.broker.publish({ envelopes: [one] })
      const stale = await (await stage.hand(sleeper)).next()
      let lost: string | undefined
      stale.onLost((why) => (lost = why))
      const fresh = await (await takeOver(stage, watcher)).next()
      assert.deepEqual([fresh.envelope.id, fresh.run], [one.id, 2])
      for (const verb of [() => stale.ack({ result: '"stale"' }), () => stale.retry({ delay: 0, error: ERROR })])
        assert.notEqual(await codeOf(verb), 'no error')
      await fresh.ack({ result: '"fresh"' })
      const record = await recordOf(watcher, one.id)
      assert.deepEqual([record.state, record.result, record.run], ['completed', '"fresh"', 2])
      assert.ok(lost === undefined || lost === 'lease')
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'a worker hears with its next beat that it was taken for dead, and gets no credit back for what it lost',
    needs: memory,
    async run(stage) {
      const lease = 400
      const [sleeper, watcher] = [await stage.driver({ lease }), await stage.driver({ lease })]
      await sleeper.broker.publish({ envelopes: [envelope()] })
      const hand = await stage.hand(sleeper, { prefetch: 1 })
      const stale = await hand.next()
      const lost: string[] = []
      stale.onLost((why) => lost.push(why))
      const other = await takeOver(stage, watcher)
      other.consumer.setPrefetch(0)
      await hand.beat()
      assert.deepEqual(lost, ['lease'])
      await (await other.next()).ack()
      // Its hands are empty again: it can take the next job.
      const next = envelope()
      await sleeper.broker.publish({ envelopes: [next] })
      assert.equal((await hand.next()).envelope.id, next.id)
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'a worker that was taken for dead and comes back keeps what it is given from then on',
    needs: memory,
    async run(stage) {
      const lease = 400
      const [sleeper, watcher] = [await stage.driver({ lease }), await stage.driver({ lease })]
      const [before, ...waiting] = [envelope(), envelope(), envelope()]
      await sleeper.broker.publish({ envelopes: [before!] })
      const hand = await stage.hand(sleeper, { prefetch: 3 })
      const stale = await hand.next()
      const other = await takeOver(stage, watcher)
      other.consumer.setPrefetch(0)
      await other.next()
      // Nobody else takes these: they come with the beat that brings the sleeper back.
      await watcher.broker.publish({ envelopes: waiting })
      const lost: string[] = []
      stale.onLost(() => lost.push(stale.envelope.id))
      const beaten = hand.beat()
      for (const _ of waiting) {
        const delivery = await hand.next()
        delivery.onLost(() => lost.push(delivery.envelope.id))
        await beaten
        await delivery.ack()
        assert.equal((await recordOf(sleeper, delivery.envelope.id)).state, 'completed')
      }
      assert.deepEqual(lost, [before!.id])
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'children published with an ack exist exactly when the ack was written',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const [parent, child, orphan] = [envelope(), envelope({ queue: 'children' }), envelope({ queue: 'children' })]
      await driver.broker.publish({ envelopes: [parent] })
      const hand = await stage.hand(driver)
      const delivery = await hand.next()
      await hand.leave() // gives the job back, so this run is over
      assert.equal(await codeOf(() => delivery.ack({ publish: [orphan] })), 'ERR_LEASE_LOST')
      const again = await (await stage.hand(driver)).next()
      await again.ack({ publish: [child] })
      assert.deepEqual(
        (await driver.jobs.list({ queue: 'children', limit: 10 })).jobs.map((job) => job.envelope.id),
        [child.id],
      )
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: 'two consumers never hold one job at once, and each job is delivered once',
    needs: memory,
    async run(stage) {
      const drivers = [await stage.driver(), await stage.driver()]
      const envelopes = Array.from({ length: 200 }, () => envelope())
      const hands = [await stage.hand(drivers[0]!, { prefetch: 5 }), await stage.hand(drivers[1]!, { prefetch: 5 })]
      await drivers[0]!.broker.publish({ envelopes })
      let acked = 0
      const seen = new Set<string>()
      await Promise.all(
        hands.map(async (hand) => {
          while (acked < envelopes.length) {
            await until(() => acked >= envelopes.length || hand.deliveries.length > 0, 'a delivery')
            const delivery = hand.deliveries.shift()
            if (!delivery) continue
            assert.ok(!seen.has(delivery.envelope.id), 'delivered twice')
            seen.add(delivery.envelope.id)
            acked += 1
            await delivery.ack()
          }
        }),
      )
      assert.equal(seen.size, envelopes.length)
      assert.equal(await drivers[0]!.jobs.count({ states: ['completed'] }), envelopes.length)
    },
  },
]

/** Beat as a watcher until the jobs of a silent worker come over. */
async function takeOver(
  stage: Parameters<ConformanceCase['run']>[0],
  watcher: Awaited<ReturnType<typeof stage.driver>>,
) {
  const hand = await stage.hand(watcher)
  await until(async () => {
    await hand.beat()
    return hand.deliveries.length > 0
  }, 'the lease of a silent worker to run out')
  return hand
}
