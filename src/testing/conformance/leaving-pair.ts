// What leaves a store that keeps the books of a broker: its messages are stale, and nobody hands it over any more.
import type { ConformanceCase } from './case.js'
import { added, booksOf, holderOf, needsLedger, nextDue } from './ledger.js'
import { needsPair } from './pair-crash.js'
import { assert, envelope, QUEUE } from './stage.js'

export const leavingPairCases: readonly ConformanceCase[] = [
  {
    promise: 'seam',
    level: 'driver',
    name: 'a job of the books that is held is not due, and its message is stale; given back, it is due again',
    needs: needsLedger,
    async run(stage) {
      const handingPatience = 50
      const books = await booksOf(stage, { handingPatience })
      const holder = await holderOf(stage, books)
      const leaving = books.leaving!
      const withMessage = await added(books)
      const [retrying, later] = [await added(books), envelope({ notBefore: Date.now() + 100 })]
      await books.ledger.add({ envelopes: [later] })
      const again = await holder.startOne(retrying)
      await again.release({ why: 'stop' })
      const held = await leaving.hold({ queue: QUEUE, limit: 10 })
      const ids = held.map((one) => one.id)
      assert.deepEqual([...ids].sort(), [withMessage.id, retrying.id, later.id].sort())
      assert.ok(await holder.isStale(withMessage))
      // A report that comes late changes nothing, nor does a message of somebody who does not know the store.
      await books.ledger.handed({ handings: [withMessage] })
      assert.ok(await holder.isStale({ envelope: withMessage.envelope }))
      // A second process on the same books, and the first again: what is held is due for neither. The marker is.
      const marker = envelope({ notBefore: Date.now() + 200 })
      await books.ledger.add({ envelopes: [marker] })
      assert.equal((await nextDue(await booksOf(stage, { handingPatience }))).id, marker.id)
      const [mark] = (await leaving.hold({ queue: QUEUE, limit: 10 })).map((one) => one.id)
      assert.equal(mark, marker.id)
      assert.equal(await leaving.giveBack({ queue: QUEUE, ids }), 3)
      const { handings } = await books.ledger.due({ limit: 10 })
      assert.deepEqual(handings.map((one) => one.id).sort(), [...ids].sort())
      assert.ok(await holder.isStale(withMessage))
      const due = handings.find((one) => one.id === withMessage.id)!
      assert.equal((await holder.startOne(due)).envelope.id, withMessage.id)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'what leaves a pair is run by no worker of it, although its broker has the message',
    needs: needsPair,
    async run(stage) {
      const driver = await stage.driver()
      const [leaves, stays] = [envelope(), envelope()]
      await driver.broker.publish({ envelopes: [leaves] })
      const held = await driver.leaving!.hold({ queue: QUEUE, limit: 10 })
      assert.deepEqual(held, [leaves])
      await driver.leaving!.gone({ queue: QUEUE, ids: [leaves.id] })
      await driver.broker.publish({ envelopes: [stays] })
      const hand = await stage.hand(driver)
      assert.equal((await hand.next()).envelope.id, stays.id)
      assert.deepEqual(await driver.jobs.get({ ids: [leaves.id] }), [])
    },
  },
]
