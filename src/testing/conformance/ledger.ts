// The books of jobs that another broker moves: what is handed over, what is stale, and what comes again.
import type { Envelope } from '../../core/envelope.js'
import { newId } from '../../core/id.js'
import type { Delivery, StatefulDriver } from '../../driver/driver.js'
import type { Arrival, DueHanding, Handing, Ledger } from '../../driver/ledger.js'
import type { ConformanceCase } from './case.js'
import { assert, codeOf, envelope, ERROR, INFO, QUEUE, recordOf, until, type Stage } from './stage.js'

/** A driver with the books, as a process of its own. */
export type Books = StatefulDriver<any> & { readonly ledger: Ledger<any> }

export const needsLedger: NonNullable<ConformanceCase['needs']> = (_traits, place) =>
  place.open({}).ledger ? undefined : 'keeps no books for another broker'

export async function booksOf(stage: Stage, o: Parameters<Stage['driver']>[0] = {}): Promise<Books> {
  return (await stage.driver({ ...o, ledger: true })) as Books
}

/** A worker that holds jobs of another broker. */
export async function holderOf(stage: Stage, { workers, ledger }: Books) {
  const worker = newId()
  const beat = () => workers.beat({ worker, info: INFO })
  await beat()
  const { start, stop } = await ledger.hold({ queue: QUEUE, worker })
  stage.after(stop)
  return {
    worker,
    beat,
    start,
    async startOne(arrival: Arrival): Promise<Delivery<any>> {
      const [delivery] = await start([arrival])
      assert.ok(delivery, 'the job is started')
      return delivery
    },
    async isStale(arrival: Arrival): Promise<boolean> {
      return (await start([arrival]))[0] === undefined
    },
  }
}

/** Added, with its first ticket. */
export async function added({ ledger }: Books, one: Envelope = envelope()): Promise<Arrival & Handing> {
  const [receipt] = await ledger.add({ envelopes: [one] })
  assert.equal(receipt!.duplicate, false)
  assert.ok(receipt!.ticket !== undefined, 'it has a ticket')
  return { envelope: one, id: one.id, ticket: receipt!.ticket }
}

/** The next job that is due. */
export async function nextDue({ ledger }: Books, worker?: string): Promise<DueHanding> {
  let found: readonly DueHanding[] = []
  await until(async () => {
    found = (await ledger.due({ limit: 1, ...(worker !== undefined && { worker }) })).handings
    return found.length > 0
  }, 'a job that is due')
  return found[0]!
}

async function nothingDue({ ledger }: Books): Promise<void> {
  assert.deepEqual((await ledger.due({ limit: 10 })).handings, [])
}

export const ledgerCases: readonly ConformanceCase[] = [
  {
    promise: 'seam',
    level: 'driver',
    name: 'a job in the books is started once, by the message that has its ticket',
    needs: needsLedger,
    async run(stage) {
      const [books, other] = [await booksOf(stage), await booksOf(stage)]
      const one = await added(books)
      await nothingDue(books)
      assert.equal((await recordOf(books, one.id)).state, 'ready')
      const holders = [await holderOf(stage, books), await holderOf(stage, other)]
      assert.ok(await holders[0]!.isStale({ ...one, ticket: one.ticket + 1 }))
      const started = (await Promise.all(holders.flatMap(({ start }) => [start([one]), start([one])]))).flat()
      const [delivery, ...more] = started.filter((each) => each !== undefined)
      assert.equal(more.length, 0)
      assert.deepEqual(delivery!.envelope, one.envelope)
      assert.deepEqual([delivery!.run, delivery!.attempt, delivery!.crashes, delivery!.suspect], [1, 1, 0, false])
      const record = await recordOf(other, one.id)
      assert.equal(record.state, 'active')
      assert.ok(holders.some(({ worker }) => worker === record.worker))
      await delivery!.ack({ result: '1' })
      assert.deepEqual(
        [await recordOf(other, one.id)].map(({ state, result, attempt }) => [state, result, attempt]),
        [['completed', '1', 1]],
      )
      assert.ok(await holders[1]!.isStale(one))
      await nothingDue(books)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'deliveries come in the order of the arrivals, with nothing in the place of what is stale',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const jobs = [await added(books), await added(books), await added(books)]
      const { start } = await holderOf(stage, books)
      const unknown = { envelope: envelope(), ticket: 1 }
      const started = await start([jobs[2]!, unknown, jobs[0]!, jobs[2]!])
      assert.deepEqual(
        started.map((delivery) => delivery?.envelope.id),
        [jobs[2]!.id, undefined, jobs[0]!.id, undefined],
      )
    },
  },
  {
    promise: 'P10',
    level: 'driver',
    name: 'adding to the books knows duplicates, unique keys and conflicts, and is all or nothing',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const unique = { key: 'k', until: 'started' } as const
      const one = await added(books, envelope({ unique }))
      await books.ledger.handed({ handings: [one] })
      const again = [one.envelope, envelope({ unique })]
      assert.deepEqual(
        await books.ledger.add({ envelopes: again }),
        again.map(() => ({ id: one.id, duplicate: true })),
      )
      const conflict = { ...one.envelope, name: 'another' }
      assert.equal(await codeOf(() => books.ledger.add({ envelopes: [envelope(), conflict] })), 'ERR_JOB_CONFLICT')
      assert.equal(await books.jobs.count({}), 1)
      assert.deepEqual(await books.broker.list(), [QUEUE])
      await (await holderOf(stage, books)).startOne(one)
      await added(books, envelope({ unique })) // the key was free from the start on
    },
  },
  {
    promise: 'P1',
    level: 'driver',
    name: 'a job whose publisher died before the broker had it is handed over by others, and the older message is stale',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage, { handingPatience: 50 })
      const one = await added(books)
      const due = await nextDue(books)
      assert.ok(due.ticket > one.ticket)
      assert.deepEqual([due.envelope, due.suspect], [one.envelope, false])
      const { isStale, startOne } = await holderOf(stage, books)
      // Nobody said that the broker has it.
      const again = await nextDue(books)
      assert.ok(again.ticket > due.ticket)
      assert.ok(await isStale(one))
      assert.ok(await isStale(due))
      await (await startOne(again)).ack()
      assert.deepEqual(await books.ledger.due({ limit: 10 }), { handings: [] })
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'what the broker has is due no more, unless the report is of an older handing',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage, { handingPatience: 50 })
      const [kept, again] = [await added(books), await added(books)]
      await books.ledger.handed({ handings: [kept] })
      const due = await nextDue(books)
      assert.equal(due.id, again.id)
      await books.ledger.handed({ handings: [again, { id: 'unknown', ticket: 1 }] })
      assert.equal((await nextDue(books)).id, again.id)
      const last = await nextDue(books)
      await books.ledger.handed({ handings: [last] })
      assert.deepEqual(await books.ledger.due({ limit: 10 }), { handings: [] })
      await (await holderOf(stage, books)).startOne(last)
    },
  },
  {
    promise: 'seam',
    level: 'driver',
    name: 'two who ask for what is due at once never get the same job',
    needs: needsLedger,
    async run(stage) {
      const all = [await booksOf(stage), await booksOf(stage)]
      const notBefore = Date.now() + 20
      const envelopes = Array.from({ length: 100 }, () => envelope({ notBefore }))
      await all[0]!.ledger.add({ envelopes })
      const ids: string[] = []
      await until(async () => {
        const found = await Promise.all(
          all.flatMap(({ ledger }) => [ledger.due({ limit: 7 }), ledger.due({ limit: 7 })]),
        )
        ids.push(...found.flatMap(({ handings }) => handings.map(({ id }) => id)))
        return ids.length >= envelopes.length
      }, 'all to be due')
      assert.deepEqual([...ids].sort(), envelopes.map(({ id }) => id).sort())
      await nothingDue(all[0]!)
    },
  },
  {
    promise: 'P8',
    level: 'driver',
    name: 'a delayed job in the books is due at its time, never early',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const notBefore = Date.now() + 150
      const one = envelope({ notBefore })
      assert.deepEqual(await books.ledger.add({ envelopes: [one] }), [{ id: one.id, duplicate: false }])
      const { handings, nextDueIn } = await books.ledger.due({ limit: 10 })
      if (Date.now() < notBefore) {
        assert.deepEqual(handings, [])
        assert.ok(nextDueIn! > 0 && nextDueIn! <= 150)
      }
      const { startOne, isStale } = await holderOf(stage, books)
      assert.ok(await isStale({ envelope: one, ticket: 0 }))
      const due = await nextDue(books)
      assert.ok(Date.now() >= notBefore)
      await (await startOne(due)).ack()
    },
  },
  {
    promise: 'P5',
    level: 'driver',
    name: 'a retry comes again when it is due, and neither its message nor the report of it counts any more',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const one = await added(books)
      const { startOne, isStale } = await holderOf(stage, books)
      await (await startOne(one)).retry({ delay: 50, error: ERROR })
      await books.ledger.handed({ handings: [one] })
      assert.ok(await isStale(one))
      const due = await nextDue(books)
      assert.ok(due.ticket > one.ticket)
      const second = await startOne(due)
      assert.deepEqual([second.run, second.attempt], [2, 2])
      await second.release({ why: 'later' })
      assert.ok(await isStale(due))
      await books.ledger.handed({ handings: [due] })
      const third = await startOne(await nextDue(books))
      assert.deepEqual([third.run, third.attempt], [3, 2])
      await third.dead({ reason: 'failed', error: ERROR })
      await nothingDue(books)
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'what a dead worker held of another broker is due again, as suspects, and its own run settles nothing',
    needs: needsLedger,
    async run(stage) {
      const lease = 400
      const [books, watcher] = [await booksOf(stage, { lease }), await booksOf(stage, { lease })]
      const one = await added(books)
      const stale = await (await holderOf(stage, books)).startOne(one)
      const watching = await holderOf(stage, watcher)
      await until(async () => {
        await watching.beat()
        return (await recordOf(watcher, one.id)).state === 'ready'
      }, 'the job to come back')
      assert.ok(await watching.isStale(one))
      const due = await nextDue(watcher)
      assert.equal(due.suspect, true)
      const fresh = await watching.startOne(due)
      assert.deepEqual([fresh.run, fresh.suspect, fresh.crashes], [2, true, 0])
      await fresh.start()
      assert.equal(await codeOf(() => stale.ack()), 'ERR_LEASE_LOST')
      await fresh.ack()
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'what a worker was handing to the broker is due at once when it has left or its death is seen, and what others hand over is not',
    needs: needsLedger,
    async run(stage) {
      const lease = 400
      const [books, watcher] = [await booksOf(stage, { lease }), await booksOf(stage, { lease })]
      const [dying, leaving] = [await holderOf(stage, books), await holderOf(stage, watcher)]
      const watching = await holderOf(stage, watcher)
      const delayed = [envelope({ notBefore: Date.now() + 50 }), envelope({ notBefore: Date.now() + 50 })]
      await books.ledger.add({ envelopes: delayed })
      const taken = [await nextDue(books, dying.worker), await nextDue(books, leaving.worker)]
      await added(books)
      await added(watcher)
      const [first, second] = [await recordOf(books, taken[0]!.id), await recordOf(books, taken[1]!.id)]
      assert.deepEqual(
        [first.state, first.worker, second.state, second.worker],
        ['ready', undefined, 'ready', undefined],
      )
      await nothingDue(books)
      await watcher.workers.leave({ worker: leaving.worker })
      const again = await nextDue(watcher, watching.worker)
      assert.deepEqual([again.id, again.ticket > taken[1]!.ticket, again.suspect], [taken[1]!.id, true, false])
      await watcher.ledger.handed({ handings: [again] })
      await nothingDue(books)
      let due: readonly DueHanding[] = []
      await until(async () => {
        await watching.beat()
        due = (await watcher.ledger.due({ limit: 10, worker: watching.worker })).handings
        return due.length > 0
      }, 'the other job to be due')
      assert.deepEqual(
        due.map(({ id, ticket }) => [id, ticket > taken[0]!.ticket]),
        [[taken[0]!.id, true]],
      )
      assert.ok(await watching.isStale(taken[0]!))
      await (await watching.startOne(due[0]!)).ack()
      await (await watching.startOne(again)).ack()
      await nothingDue(watcher)
    },
  },
  {
    promise: 'P3',
    level: 'driver',
    name: 'a worker that does not beat starts no job of another broker, and may when it beats',
    needs: needsLedger,
    async run(stage) {
      const books = await booksOf(stage)
      const one = await added(books)
      const [gone, other] = [await holderOf(stage, books), await holderOf(stage, books)]
      await books.workers.leave({ worker: gone.worker })
      const [refused, stale] = await Promise.all([
        codeOf(() => gone.start([one])),
        other.isStale({ envelope: envelope(), ticket: 1 }),
      ])
      assert.deepEqual([refused, stale], ['ERR_BROKER_UNAVAILABLE', true])
      assert.equal((await recordOf(books, one.id)).state, 'ready')
      await gone.beat()
      await (await gone.startOne(one)).ack()
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'a job that was cancelled in the books never starts; one that has started is told, and ends cancelled',
    needs: needsLedger,
    async run(stage) {
      const [books, operator] = [await booksOf(stage), await booksOf(stage)]
      const [waiting, running] = [await added(books), await added(books)]
      const { startOne, isStale, beat } = await holderOf(stage, books)
      const delivery = await startOne(running)
      const lost: string[] = []
      delivery.onLost((why) => lost.push(why))
      await operator.jobs.move({ ids: [waiting.id, running.id], to: 'cancelled', limit: 10 })
      assert.ok(await isStale(waiting))
      await nothingDue(books)
      assert.deepEqual((await beat()).revoked, [running.id])
      assert.deepEqual(lost, ['cancelled'])
      await delivery.ack()
      assert.equal((await recordOf(books, running.id)).state, 'cancelled')
    },
  },
]
