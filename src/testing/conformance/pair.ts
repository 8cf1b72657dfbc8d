// A pair while its broker refuses, or its link to the broker is cut. What the error of an enqueue says is true, and a job that
// runs goes on.
import { BrokerUnavailableError } from '../../core/errors.js'
import { newId } from '../../core/id.js'
import { compose } from '../../driver/compose.js'
import type { Broker, Delivery, Driver, LostReason, StatefulDriver } from '../../driver/driver.js'
import type { Receipt } from '../../driver/receipts.js'
import { wrapDelivery } from '../../driver/wrap.js'
import type { ConformanceCase } from './case.js'
import { needsPair } from './pair-crash.js'
import { assert, CONNECT, envelope, recordOf, until, type Stage } from './stage.js'

interface Parts {
  readonly broker: Driver
  readonly store: StatefulDriver<any>
}

async function pairOf(stage: Stage, change: (parts: Parts) => Parts): Promise<StatefulDriver<any>> {
  const driver = compose<any>(change(stage.place.parts!({})))
  await driver.connect(CONNECT)
  stage.after(() => driver.close())
  return driver
}

/** A pair whose broker answers the next publish by `publish`. */
const refusing =
  (publish: (own: Broker<any>, o: Parameters<Broker['publish']>[0]) => Promise<never>) => (parts: Parts) => ({
    ...parts,
    broker: {
      ...parts.broker,
      broker: {
        ...parts.broker.broker,
        publish: (o: Parameters<Broker['publish']>[0]) => publish(parts.broker.broker, o),
      },
    },
  })

const away = (outcome: 'not-sent' | 'unknown') => new BrokerUnavailableError('The broker is away.', { outcome })

/** The code, outcome and ids of the error that an enqueue ends with. */
async function refusal(call: Promise<unknown>): Promise<unknown[]> {
  return call.then(
    () => ['no error'],
    (error: BrokerUnavailableError) => [error.code, error.outcome, error.ids],
  )
}

export const pairCases: readonly ConformanceCase[] = [
  ...(['not-sent', 'unknown'] as const).map((outcome): ConformanceCase => ({
    promise: 'P1',
    level: 'driver',
    name: `a job that the broker did not take (${outcome}) is withdrawn from the store: not sent for certain, and free to be enqueued again`,
    needs: needsPair,
    async run(stage) {
      const one = envelope()
      const driver = await pairOf(
        stage,
        refusing(async (own, o) => {
          // What it did get is stale without its row.
          if (outcome === 'unknown') await own.publish(o)
          throw away(outcome)
        }),
      )
      const failed = await refusal(driver.broker.publish({ envelopes: [one] }))
      assert.deepEqual(failed, ['ERR_BROKER_UNAVAILABLE', 'not-sent', [one.id]])
      assert.deepEqual(await driver.jobs.get({ ids: [one.id] }), [])
      const other = await stage.driver()
      const last = envelope()
      await other.broker.publish({ envelopes: [last] })
      const hand = await stage.hand(other)
      assert.equal((await hand.next()).envelope.id, last.id)
      const [again] = await other.broker.publish({ envelopes: [one] })
      assert.deepEqual(again, { id: one.id, duplicate: false })
      assert.equal((await hand.next()).envelope.id, one.id)
    },
  })),
  ...(['id', 'unique key'] as const).map((by): ConformanceCase => ({
    promise: 'P1',
    level: 'driver',
    name: `a job that stands for another's of the same ${by} stays, though its own enqueue fails`,
    needs: (traits, place, driver) =>
      by === 'unique key' && !traits.unique ? 'has no unique keys' : needsPair(traits, place, driver),
    async run(stage) {
      const one = envelope(by === 'id' ? {} : { unique: { key: 'k', until: 'finished' } })
      const same = by === 'id' ? one : { ...one, id: newId(), body: '{"other":1}' }
      const other = await stage.driver()
      const told: Receipt[] = []
      const driver = await pairOf(
        stage,
        refusing(async () => {
          told.push(...(await other.broker.publish({ envelopes: [same] })))
          throw away('not-sent')
        }),
      )
      const failed = await refusal(driver.broker.publish({ envelopes: [one] }))
      assert.deepEqual(told, [{ id: one.id, duplicate: true }])
      assert.deepEqual(failed, ['ERR_BROKER_UNAVAILABLE', 'unknown', [one.id]])
      const hand = await stage.hand(other)
      const delivery = await hand.next()
      assert.deepEqual([delivery.envelope.id, delivery.envelope.body], [one.id, one.body])
      await delivery.ack()
      assert.equal((await recordOf(driver, one.id)).run, 1)
    },
  })),
  {
    promise: 'P1',
    level: 'driver',
    name: 'a job that cannot be withdrawn either has outcome unknown, and is worked in the end',
    needs: needsPair,
    async run(stage) {
      const one = envelope()
      const driver = await pairOf(stage, (parts) => {
        const refused = refusing(async () => {
          throw away('not-sent')
        })(parts)
        const withdraw = () => Promise.reject(away('not-sent'))
        const ledger = { ...parts.store.ledger!, withdraw }
        return { ...refused, store: { ...parts.store, ledger } }
      })
      const failed = await refusal(driver.broker.publish({ envelopes: [one] }))
      assert.deepEqual(failed, ['ERR_BROKER_UNAVAILABLE', 'unknown', [one.id]])
      assert.equal((await recordOf(driver, one.id)).state, 'ready')
    },
  },
  {
    promise: 'P1',
    level: 'driver',
    name: 'a job that a worker has although the broker never said that it took it is no failure',
    needs: needsPair,
    async run(stage) {
      const hand = await stage.hand(await stage.driver())
      const driver = await pairOf(
        stage,
        refusing(async (own, o) => {
          await own.publish(o)
          await until(() => hand.deliveries.length === 1, 'the job to start')
          throw away('unknown')
        }),
      )
      const one = envelope()
      assert.deepEqual(await driver.broker.publish({ envelopes: [one] }), [{ id: one.id, duplicate: false }])
      await hand.deliveries[0]!.ack()
      assert.equal((await recordOf(driver, one.id)).state, 'completed')
    },
  },
  {
    promise: 'P19',
    level: 'driver',
    name: 'a link to the broker that is cut while a job runs takes nothing from its handler, and what comes again is stale',
    needs: needsPair,
    async run(stage) {
      let cut!: () => void
      let acked = 0
      const driver = await pairOf(stage, (parts) => {
        const broker = parts.broker.broker
        const consume: Broker['consume'] = (o) =>
          broker.consume({
            ...o,
            onDelivery(own) {
              let tell: (why: LostReason) => void = () => {}
              const again: Delivery = wrapDelivery(own, {
                onLost: () => {},
                ack: () => {
                  acked += 1
                  return own.ack()
                },
              })
              cut = () => {
                tell('link')
                o.onDelivery(again)
              }
              o.onDelivery(wrapDelivery(own, { onLost: (fn) => void (tell = fn), ack: () => assert.fail('too late') }))
            },
          })
        return { ...parts, broker: { ...parts.broker, broker: { ...broker, consume } } }
      })
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(driver)
      const delivery = await hand.next()
      const lost: string[] = []
      delivery.onLost((why) => lost.push(why))
      cut()
      await until(() => acked === 1, 'the message to be acknowledged unseen')
      await delivery.ack({ result: '1' })
      assert.deepEqual([lost, hand.deliveries.length], [[], 1])
      const { state, run } = await recordOf(driver, one.id)
      assert.deepEqual([state, run], ['completed', 1])
    },
  },
]
