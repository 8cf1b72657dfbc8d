// More of the books: what else brings jobs into them, what removes them, and who may not take from them.
import { subscriptionTask } from '../../core/event.js'
import type { ConformanceCase } from './case.js'
import { added, booksOf, holderOf, needsLedger, nextDue, type Books } from './ledger.js'
import { assert, codeOf, envelope, ERROR, QUEUE, recordOf } from './stage.js'

/** Ids of what is due now, in the order of the alphabet. */
const dueNow = async ({ ledger }: Books) => (await ledger.due({ limit: 100 })).handings.map(({ id }) => id).sort()

export const moreLedgerCases: readonly ConformanceCase[] = [
  {
    promise: 'seam',
    level: 'driver',
    name: 'whatever else makes jobs in the books makes them due: publish, children, events, state, and an operator',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const [published, child, stated] = [envelope(), envelope(), envelope()]
      await books.events.declare({ name: 'sub', queue: QUEUE, patterns: ['happened'] })
      await books.broker.publish({ envelopes: [published] })
      assert.equal((await nextDue(books)).id, published.id)
      const { startOne } = await holderOf(stage, books)
      const parent = await added(books)
      await (await startOne(parent)).ack({ publish: [child] })
      await books.state.set({ key: 'k', value: 'v', publish: [stated] })
      const keep = { completed: 1000, dead: 1000, log: 60_000 }
      const event = { id: 'e', name: 'happened', body: '{}', headers: {}, publishedAt: Date.now(), keep }
      await books.events.publish({ events: [event] })
      assert.deepEqual(await dueNow(books), [child.id, stated.id, 'e/sub'].sort())
      await books.jobs.move({ name: subscriptionTask('sub'), to: 'cancelled', limit: 10 })
      await books.eventLog.replay({ subscription: 'sub', replay: 'r', limit: 10 })
      assert.deepEqual(await dueNow(books), ['e/sub/r'])
    },
  },
  {
    promise: 'P5',
    level: 'driver',
    name: "an operator's retry and run-now are due at once, also when they come from a driver that keeps no books",
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const one = await added(books)
      const { startOne, isStale } = await holderOf(stage, books)
      await (await startOne(one)).dead({ reason: 'failed', error: ERROR })
      const later = envelope({ notBefore: Date.now() + 60_000 })
      await books.ledger.add({ envelopes: [later] })
      assert.deepEqual(await dueNow(books), [])
      const looking = await stage.driver()
      await looking.jobs.move({ ids: [one.id, later.id], to: 'ready', limit: 10 })
      assert.ok(await isStale(one))
      const { handings } = await books.ledger.due({ limit: 10 })
      assert.deepEqual(handings.map(({ id }) => id).sort(), [one.id, later.id].sort())
      const delivery = await startOne(handings.find(({ id }) => id === one.id)!)
      assert.deepEqual([delivery.run, delivery.attempt], [2, 1])
    },
  },
  {
    promise: 'P18',
    level: 'driver',
    name: 'nobody takes jobs past the broker whose books these are, but anybody may look',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const one = await added(books)
      const plain = await stage.driver()
      for (const driver of [books, plain]) assert.equal(await codeOf(() => stage.hand(driver)), 'ERR_CONFIGURATION')
      assert.equal((await recordOf(plain, one.id)).state, 'ready')
      assert.equal((await plain.broker.stats({ queue: QUEUE })).ready, 1)
      await plain.broker.publish({ envelopes: [envelope({ id: 'plain' })] })
      assert.equal((await nextDue(books)).id, 'plain')
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'jobs that waited before the store was given to a broker are due',
    needs: needsLedger,
    async run(stage) {
      const plain = await stage.driver()
      const [now, later, done] = [envelope(), envelope({ notBefore: Date.now() + 60_000 }), envelope()]
      await plain.broker.publish({ envelopes: [done] })
      const hand = await stage.hand(plain)
      await (await hand.next()).ack()
      await hand.consumer.stop()
      await plain.broker.publish({ envelopes: [now, later] })
      const books = await booksOf(stage)
      assert.deepEqual(await dueNow(books), [now.id])
      const { nextDueIn } = await books.ledger.due({ limit: 1 })
      assert.ok(nextDueIn! > 0)
    },
  },
  {
    promise: 'P1',
    level: 'driver',
    name: 'a job added to the books in a transaction is due exactly when that commits',
    needs: (traits, place, driver) =>
      traits.transactions === 'none' ? 'joins no transactions' : needsLedger(traits, place, driver),
    async run(stage) {
      const books = await booksOf(stage)
      const [kept, undone] = [envelope(), envelope()]
      const first = stage.place.transaction!()
      await books.ledger.add({ envelopes: [undone], tx: first.tx })
      await first.rollback()
      const second = stage.place.transaction!()
      const receipts = await books.ledger.add({ envelopes: [kept], tx: second.tx })
      assert.deepEqual(receipts, [{ id: kept.id, duplicate: false }])
      assert.deepEqual(await dueNow(books), [])
      await second.commit()
      assert.deepEqual(await dueNow(books), [kept.id])
    },
  },
  {
    promise: 'P1',
    level: 'driver',
    name: 'what the broker refused is withdrawn, unless it was handed over again or has started',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage, { handingPatience: 50 })
      const [gone, again, started] = [await added(books), await added(books), await added(books)]
      await books.ledger.withdraw({ handings: [gone] })
      assert.deepEqual(await books.jobs.get({ ids: [gone.id] }), [])
      const { startOne, isStale } = await holderOf(stage, books)
      const delivery = await startOne(started)
      assert.equal((await nextDue(books)).id, again.id)
      await books.ledger.withdraw({ handings: [again, started] })
      assert.deepEqual([(await recordOf(books, again.id)).state, delivery.run], ['ready', 1])
      await delivery.ack()
      assert.ok(await isStale(gone))
      await added(books, gone.envelope) // as if it had never been
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'a message without a ticket becomes a job when it arrives, once',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const foreign = envelope({ queue: 'elsewhere', headers: { h: 'é' }, notBefore: Date.now() + 60_000 })
      const { start, startOne, isStale } = await holderOf(stage, books)
      const delivery = await startOne({ envelope: foreign })
      assert.deepEqual([delivery.run, delivery.attempt, delivery.envelope.id], [1, 1, foreign.id])
      const { notBefore: _, ...arrived } = foreign
      assert.deepEqual((await recordOf(books, foreign.id)).envelope, arrived)
      assert.ok((await books.broker.list()).includes('elsewhere'))
      assert.ok(await isStale({ envelope: foreign }))
      await delivery.release()
      assert.ok(await isStale({ envelope: foreign }))
      await (await startOne(await nextDue(books))).ack()
      assert.ok(await isStale({ envelope: foreign }))
      // It has been handed over by us, so the message comes from nobody who does not know the store.
      const ours = await added(books)
      assert.ok(await isStale({ envelope: ours.envelope }))
      // Nobody else's start fails for one that cannot be a job.
      const started = await start([{ envelope: { ...ours.envelope, name: 'another' } }, ours])
      assert.deepEqual(
        started.map((one) => one?.envelope.id),
        [undefined, ours.id],
      )
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'ends of jobs that the store has never seen are written once, and kept by their retention',
    needs: needsLedger,
    async run(stage) {
      const [books, other] = [await booksOf(stage), await booksOf(stage)]
      const [done, failed, crashed] = [envelope(), envelope({ keep: { completed: 1, dead: 60_000 } }), envelope()]
      const ended = [
        { envelope: done, state: 'completed', run: 2, attempt: 2, result: '"r"' },
        { envelope: failed, state: 'dead', run: 3, attempt: 3, reason: 'failed', error: ERROR },
        { envelope: crashed, state: 'dead', run: 4, attempt: 1, reason: 'crashed', error: ERROR },
      ] as const
      const raced = await Promise.all([books.ledger.record({ ended }), other.ledger.record({ ended })])
      for (const i of ended.keys()) assert.equal(raced.filter((written) => written[i]).length, 1)
      assert.deepEqual(await books.ledger.record({ ended: ended.slice(1) }), [false, false])
      const records = await Promise.all(ended.map((one) => recordOf(books, one.envelope.id)))
      assert.deepEqual(
        records.map(({ state, run, attempt, result, reason, errors }) => [state, run, attempt, result, reason, errors]),
        [
          ['completed', 2, 2, '"r"', undefined, []],
          ['dead', 3, 3, undefined, 'failed', [ERROR]],
          ['dead', 4, 0, undefined, 'crashed', [ERROR]],
        ],
      )
      assert.ok(records.every((record) => record.finishedAt !== undefined))
      assert.ok((await books.broker.list()).includes(QUEUE))
      // A job that has not ended is left as it is.
      const open = await added(books)
      assert.deepEqual(await books.ledger.record({ ended: [{ ...ended[0], envelope: open.envelope }] }), [false])
      assert.equal((await recordOf(books, open.id)).state, 'ready')
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'the books are closed with their driver',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      await books.close()
      for (const call of [
        () => books.ledger.add({ envelopes: [envelope()] }),
        () => books.ledger.due({ limit: 1 }),
        () => books.ledger.hold({ queue: QUEUE, worker: 'w' }),
      ])
        assert.equal(await codeOf(call), 'ERR_CLIENT_CLOSED')
    },
  },
]
