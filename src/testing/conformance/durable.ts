// P1: durable, or an error.
import { other, z } from './tasks.js'
import type { ConformanceCase } from './case.js'
import { all, memory } from './needs.js'
import { assert, codeOf, envelope, QUEUE, recordOf, until } from './stage.js'

const needsShared = all(memory, (traits) => (traits.durable ? undefined : 'keeps jobs only in its own process'))

export const durableCases: readonly ConformanceCase[] = [
  {
    promise: 'P1',
    level: 'driver',
    name: 'what a resolved publish kept is seen by a driver opened afterwards',
    needs: needsShared,
    async run(stage) {
      const first = await stage.driver()
      const envelopes = Array.from({ length: 50 }, (_, i) => envelope({ body: `{"i":${i}}`, headers: { h: 'é' } }))
      const receipts = await first.broker.publish({ envelopes })
      assert.deepEqual(
        receipts,
        envelopes.map(({ id }) => ({ id, duplicate: false })),
      )
      const second = await stage.driver()
      const records = await second.jobs.get({ ids: envelopes.map(({ id }) => id) })
      assert.deepEqual(
        new Map(records.map((r) => [r.envelope.id, r.envelope])),
        new Map(envelopes.map((e) => [e.id, e])),
      )
      assert.equal((await second.broker.stats({ queue: QUEUE })).ready, 50)
    },
  },
  {
    promise: 'P1',
    level: 'driver',
    name: 'publishing an id again is the same job',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const [again] = await driver.broker.publish({ envelopes: [{ ...one, body: '{"other":1}' }] })
      assert.deepEqual(again, { id: one.id, duplicate: true })
      assert.equal((await recordOf(driver, one.id)).envelope.body, '{}')
      assert.equal(await driver.jobs.count({}), 1)
    },
  },
  {
    promise: 'P1',
    level: 'runtime',
    name: 'with the store away enqueue rejects in time, says what became of the job, and is safe to repeat',
    needs: (_traits, place) => (place.outage ? undefined : 'cannot be away: it lives in this process'),
    async run(stage) {
      await stage.client().enqueue(z, { n: 0 }) // what a broker takes to make a queue is not what this is about
      const client = stage.client({ publishTimeout: 300 })
      await client.connect()
      const outage = await stage.place.outage!()
      let ids: readonly string[] = []
      await client
        .enqueue(z, { n: 1 }, { id: 'mine' })
        .catch((error: { code: string; outcome: string; ids: string[] }) => {
          assert.equal(error.code, 'ERR_BROKER_UNAVAILABLE')
          assert.equal(error.outcome, 'not-sent')
          ids = error.ids
        })
      assert.deepEqual(ids, ['mine'])
      await outage.end()
      let first: { duplicate: boolean } | undefined
      const taken = async () => (first = await client.enqueue(z, { n: 1 }, { id: ids[0]! }).catch(() => undefined))
      await until(async () => (await taken()) !== undefined, 'the store to take it')
      assert.equal(first!.duplicate, false)
      const again = await client.enqueue(z, { n: 1 }, { id: ids[0]! })
      if (stage.traits.remembers) assert.equal(again.duplicate, true)
    },
  },
  {
    promise: 'P1',
    level: 'runtime',
    name: 'an id that belongs to a job of another task is refused, naming that task',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      await client.enqueue(z, { n: 1 }, { id: 'taken' })
      assert.equal(await codeOf(() => client.enqueue(other, undefined, { id: 'taken' })), 'ERR_JOB_CONFLICT')
      const ids = ['free', 'taken']
      const many = client.enqueueMany(other, [undefined, undefined], { each: () => ({ id: ids.shift()! }) })
      assert.equal(await codeOf(() => many), 'ERR_JOB_CONFLICT')
      assert.deepEqual(
        (await client.jobs.list()).jobs.map((job) => job.id),
        ['taken'],
      )
    },
  },
  {
    promise: 'P1',
    level: 'driver',
    name: 'a job published in a transaction exists exactly when that commits',
    needs: (traits) => (traits.transactions === 'none' ? 'joins no transactions' : undefined),
    async run(stage) {
      const driver = await stage.driver()
      const [kept, undone] = [envelope({ unique: { key: 'k', until: 'finished' } }), envelope()]
      const first = stage.place.transaction!()
      await driver.broker.publish({ envelopes: [undone], tx: first.tx })
      await first.rollback()
      const second = stage.place.transaction!()
      await driver.broker.publish({ envelopes: [kept], tx: second.tx })
      assert.equal(await driver.jobs.count({}), 0)
      await second.commit()
      assert.deepEqual(
        (await driver.jobs.list({ limit: 10 })).jobs.map((job) => job.envelope.id),
        [kept.id],
      )
    },
  },
  {
    promise: 'P1',
    level: 'runtime',
    name: 'an enqueue with { tx } has done its work, or thrown, before it returns',
    needs: (traits) => (traits.transactions === 'sync' ? undefined : 'has no synchronous transactions'),
    async run(stage) {
      const client = stage.client()
      await client.connect()
      const { tx, commit } = stage.place.transaction!()
      const job = client.enqueue(z, { n: 1 }, { tx })
      assert.throws(() => client.enqueue(z, { n: 'one' as unknown as number }, { tx }), { code: 'ERR_VALIDATION' })
      void client.enqueue(other, undefined, { tx, id: 'other' })
      assert.throws(() => client.enqueue(z, { n: 1 }, { tx, id: 'other' }), { code: 'ERR_JOB_CONFLICT' })
      await commit()
      assert.equal((await client.jobs.list()).jobs.length, 2)
      assert.equal((await (await job).info()).state, 'ready')
      assert.equal(await codeOf(() => client.enqueue(z, { n: 1 }, { tx: {} })), 'ERR_CONFIGURATION')
    },
  },
]
