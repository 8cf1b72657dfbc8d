// A pair that writes only how most jobs end (`history: 'final'`): what is written when, that an end is written once whatever
// dies in between, and that what needs the store has all of it.
import { compose } from '../../driver/compose.js'
import type { Delivery, StatefulDriver } from '../../driver/driver.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { mortal, type Death, type Point } from './mortal.js'
import { needsPair } from './pair-crash.js'
import { z } from './tasks.js'
import { assert, codeOf, CONNECT, envelope, ERROR, recordOf, until, type Stage } from './stage.js'

const SETTINGS = { lease: 400, handingPatience: 150 }
const history = 'final' as const

/** What a process writes to the store and says to the broker, in order. */
interface Watched {
  readonly driver: StatefulDriver<any>
  readonly wrote: string[]
}

/** A process of such a pair. */
async function finalOf(stage: Stage, settings: object = {}): Promise<Watched> {
  const { broker, store } = stage.place.parts!(settings)
  const wrote: string[] = []
  const ledger = store.ledger!
  const said = <P extends unknown[], R>(what: string, call: (...args: P) => R) => {
    return (...args: P): R => {
      wrote.push(what)
      return call(...args)
    }
  }
  const driver = compose<any>({
    broker,
    history,
    store: {
      ...store,
      ledger: {
        ...ledger,
        add: said('add', ledger.add),
        record: said('record', ledger.record),
        handed: said('handed', ledger.handed),
        hold: async (o) => {
          const holder = await ledger.hold(o)
          return { ...holder, start: said('start', holder.start) }
        },
      },
    },
  })
  await driver.connect(CONNECT)
  stage.after(() => driver.close())
  return { driver, wrote }
}

const isKnown = async (driver: StatefulDriver<any>, id: string) => (await driver.jobs.get({ ids: [id] })).length === 1

/** A job that some other process works only when everything that could still come has come. */
async function isAlone(driver: StatefulDriver<any>, deliveries: readonly Delivery<any>[]): Promise<void> {
  const before = deliveries.length
  const marker = envelope({ notBefore: Date.now() + 2 * SETTINGS.lease })
  await driver.broker.publish({ envelopes: [marker] })
  await until(() => deliveries.length > before, 'the last job')
  assert.deepEqual(
    deliveries.slice(before).map((one) => one.envelope.id),
    [marker.id],
  )
}

/** Jobs of which everything is written all along. */
const kept = [
  ['delayed', () => envelope({ notBefore: Date.now() + 30 })],
  ['unique', () => envelope({ unique: { key: 'k', until: 'finished' } })],
] as const

const dying = (['before', 'after'] as const).flatMap((when) =>
  (['store: record', 'broker: ack'] as const).map((point: Point): Death => ({ when, point })),
)

export const finalCases: readonly ConformanceCase[] = [
  {
    promise: 'P2',
    level: 'driver',
    name: "with history: 'final' nothing is written of a plain job before it ends, and its end before its message is acknowledged",
    needs: needsPair,
    async run(stage) {
      const { driver, wrote } = await finalOf(stage)
      const one = envelope()
      assert.deepEqual(await driver.broker.publish({ envelopes: [one] }), [{ id: one.id, duplicate: false }])
      const delivery = await (await stage.hand(driver)).next()
      assert.deepEqual([delivery.envelope, delivery.run, delivery.attempt, delivery.suspect], [one, 1, 1, false])
      assert.equal(await isKnown(driver, one.id), false)
      assert.deepEqual(wrote, [])
      await delivery.ack({ result: '"done"' })
      const { state, result, run, attempt } = await recordOf(driver, one.id)
      assert.deepEqual([state, result, run, attempt], ['completed', '"done"', 1, 1])
      assert.deepEqual(wrote, ['record'])
    },
  },
  {
    promise: 'P5',
    level: 'driver',
    name: "with history: 'final' another attempt and what is given back go through the broker, and death is written with its error",
    needs: needsPair,
    async run(stage) {
      const { driver, wrote } = await finalOf(stage)
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(driver)
      await (await hand.next()).retry({ delay: 20, error: ERROR })
      const second = await hand.next()
      assert.deepEqual([second.envelope.id, second.attempt, second.run], [one.id, 2, 2])
      await second.release({ why: 'later' })
      const third = await hand.next()
      assert.deepEqual([third.attempt, third.run], [2, 3])
      assert.deepEqual(wrote, [])
      await third.dead({ reason: 'failed', error: { ...ERROR, message: 'at last' } })
      const { state, reason, attempt, errors } = await recordOf(driver, one.id)
      assert.deepEqual([state, reason, attempt, errors.at(-1)?.message], ['dead', 'failed', 2, 'at last'])
      assert.deepEqual(wrote, ['record'])
    },
  },
  {
    promise: 'P5',
    level: 'driver',
    name: "with history: 'final' a dead job that is retried by hand is in the store from then on",
    needs: needsPair,
    async run(stage) {
      const { driver, wrote } = await finalOf(stage)
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(driver)
      await (await hand.next()).dead({ reason: 'failed', error: ERROR })
      await driver.jobs.move({ ids: [one.id], to: 'ready', limit: 1 })
      const again = await hand.next()
      assert.deepEqual([again.envelope.id, again.attempt, again.run], [one.id, 1, 2])
      assert.equal((await recordOf(driver, one.id)).state, 'active')
      await again.ack()
      assert.equal((await recordOf(driver, one.id)).state, 'completed')
      assert.equal(wrote.filter((what) => what === 'record').length, 1)
    },
  },
  {
    promise: 'P2',
    level: 'driver',
    name: "with history: 'final' an id that was enqueued twice runs twice, and its end is written once",
    needs: needsPair,
    async run(stage) {
      const { driver } = await finalOf(stage)
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      await driver.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(driver)
      const [first, second] = [await hand.next(), await hand.next()]
      await first.ack({ result: '1' })
      assert.equal(await codeOf(() => second.dead({ reason: 'failed', error: ERROR })), 'ERR_LEASE_LOST')
      const { state, result } = await recordOf(driver, one.id)
      assert.deepEqual([state, result], ['completed', '1'])
    },
  },
  ...kept.map(([what, make]): ConformanceCase => ({
    promise: 'P10',
    level: 'driver',
    name: `with history: 'final' a ${what} job is written all along, in one enqueue with plain ones`,
    needs: needsPair,
    async run(stage) {
      const { driver } = await finalOf(stage)
      const jobs = [envelope(), make(), envelope()]
      const receipts = await driver.broker.publish({ envelopes: jobs })
      assert.deepEqual(
        receipts,
        jobs.map(({ id }) => ({ id, duplicate: false })),
      )
      assert.deepEqual(await Promise.all(jobs.map(({ id }) => isKnown(driver, id))), [false, true, false])
      const again = jobs[1]!
      assert.deepEqual(await driver.broker.publish({ envelopes: [again] }), [{ id: again.id, duplicate: true }])
      const hand = await stage.hand(driver)
      const ids: string[] = []
      for (const _ of jobs) {
        const delivery = await hand.next()
        ids.push(delivery.envelope.id)
        await delivery.ack()
      }
      assert.deepEqual(ids.sort(), jobs.map(({ id }) => id).sort())
      for (const { id } of jobs) assert.equal((await recordOf(driver, id)).state, 'completed')
    },
  })),
  ...dying.map((death): ConformanceCase => {
    const ended = !(death.when === 'before' && death.point === 'store: record')
    return {
      promise: 'P2',
      level: 'driver',
      name: `with history: 'final' who dies ${death.when} "${death.point}" leaves a job whose end is written once`,
      needs: needsPair,
      async run(stage) {
        const next = await finalOf(stage, SETTINGS)
        const parts = stage.place.parts!(SETTINGS)
        const life = mortal(parts, death)
        life.arm()
        const victim = compose<any>({ ...life, history })
        await victim.connect(CONNECT)
        stage.after(async () => {
          life.die()
          await parts.store.close()
        })
        const one = envelope()
        await victim.broker.publish({ envelopes: [one] })
        const hand = await stage.hand(victim, { mortal: true })
        const mine = await hand.next()
        void mine.ack({ result: '"first"' }).catch(() => {})
        await life.died
        const heir = await stage.hand(next.driver)
        if (!ended) {
          const again = await heir.next()
          // Somebody may have died of it, so it is the store's from here on.
          assert.deepEqual([again.envelope.id, again.suspect, again.attempt], [one.id, true, 1])
          assert.equal((await recordOf(next.driver, one.id)).state, 'active')
          await again.start()
          await again.ack({ result: '"second"' })
        }
        await isAlone(next.driver, heir.deliveries)
        const { state, result } = await recordOf(next.driver, one.id)
        assert.deepEqual([state, result], ['completed', ended ? '"first"' : '"second"'])
      },
    }
  }),
  {
    promise: 'P1',
    level: 'driver',
    name: "with history: 'final' a purge takes plain jobs out of the broker, and stats count them",
    needs: needsPair,
    async run(stage) {
      const { driver } = await finalOf(stage)
      await driver.broker.declare({ name: 'q' })
      const jobs = [envelope(), envelope(), envelope({ notBefore: Date.now() + 60_000 })]
      await driver.broker.publish({ envelopes: jobs })
      await until(async () => (await driver.broker.stats({ queue: 'q' })).ready === 2, 'two that wait')
      assert.equal(await driver.broker.purge({ queue: 'q' }), 3)
      const last = envelope()
      await driver.broker.publish({ envelopes: [last] })
      const hand = await stage.hand(driver)
      assert.equal((await hand.next()).envelope.id, last.id)
      assert.equal((await driver.broker.stats({ queue: 'q' })).scheduled, 0)
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: "with history: 'final' results come, also when they are asked for before anything is written",
    needs: needsPair,
    async run(stage) {
      const client = stage.client({ wrap: () => compose<any>({ ...stage.place.parts!({}), history }) })
      const job = await client.enqueue(z, { n: 2 })
      const result = job.result({ timeout: '10s' })
      await until(
        () => codeOf(() => job.info()).then((code) => code === 'ERR_JOB_NOT_FOUND'),
        'nothing to be known yet',
      )
      await client.work({ handlers: [handle(z, ({ n }) => ({ n: 2 * n }))] })
      assert.deepEqual(await result, { n: 4 })
      assert.equal((await job.info()).state, 'completed')
    },
  },
]
