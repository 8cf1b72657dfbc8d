// The broker port over one SQLite file.
import type { Broker, Consumer, ConsumeOptions } from '../../driver/driver.js'
import type { SqliteHandle } from './engine.js'
import { PURGE_BATCH, PURGE_PARTS, ROW } from './broker-sql.js'
import { SqliteDelivery, type Holder } from './delivery.js'
import { receiptsOf, type Front } from './front.js'
import { packEnvelopes } from './packing.js'
import { begin, createCells } from './slots.js'

export function createBroker(front: Front): Broker<SqliteHandle> {
  async function consume(o: ConsumeOptions<SqliteHandle>): Promise<Consumer> {
    const { link } = front
    const cells = createCells()
    const inHand = new Set<SqliteDelivery>()
    let [prefetch, delivered, suspectsEnded] = [0, 0, 0]
    let lane = 0
    let stopped: Promise<void> | undefined
    let tellClosed!: (error: Error | undefined) => void
    const closed = new Promise<Error | undefined>((resolve) => (tellClosed = resolve))

    /** What is on its way counts as in hand already: so many deliveries in all may there have been. */
    const tell = () => link.credit(lane, stopped ? 0 : delivered - inHand.size + prefetch, suspectsEnded)

    const holder: Holder = {
      link,
      queue: o.queue,
      ackInTransaction: front.ackInTransaction,
      note: front.note,
      said: front.said,
      begin: (slot) => begin(cells, slot),
      left(delivery) {
        if (!inHand.delete(delivery)) return
        if (delivery.suspect) suspectsEnded += 1
        tell()
      },
      kept(delivery) {
        inHand.add(delivery)
        if (delivery.suspect) suspectsEnded -= 1
        tell()
      },
    }

    lane = await link.openLane(
      {
        delivered(values) {
          for (let at = 0; at < values.length; at += ROW) {
            const delivery = new SqliteDelivery(holder, values, at)
            delivered += 1
            inHand.add(delivery)
            if (stopped)
              void delivery.release({ why: 'stop' }).catch(() => {}) // the worker's goodbye does it, too
            else o.onDelivery(delivery)
          }
        },
        lost(error) {
          for (const delivery of inHand) delivery.lose('link') // those that it loses leave the set meanwhile
          tellClosed(error)
        },
      },
      { queue: o.queue, worker: o.worker, cells },
    )
    const hand = front.holds(o.worker, inHand)
    prefetch = o.prefetch
    tell()
    return {
      closed,
      setPrefetch(n) {
        if (n === prefetch) return
        prefetch = n
        tell()
      },
      stop: () =>
        (stopped ??= (async () => {
          await link.closeLane(lane)
          hand.end()
          tellClosed(undefined)
        })()),
    }
  }

  async function purge(queue: string): Promise<number> {
    let total = 0
    for (let part = 0; part < PURGE_PARTS;) {
      const removed = await front.link.write('purge', { queue, part }, PURGE_BATCH)
      total += removed
      if (removed < PURGE_BATCH) part++
    }
    return total
  }

  return {
    consume,
    publish({ envelopes, tx }) {
      if (tx !== undefined) return Promise.resolve(front.publishInTransaction(tx, envelopes))
      const written = front.link.write('publish', packEnvelopes(envelopes), envelopes.length)
      return written.then((duplicates) => receiptsOf(envelopes, duplicates))
    },
    async declare({ name }) {
      if (!(await front.link.read('isDeclared', name))) await front.link.write('declare', name)
    },
    list: () => front.link.read('queues', null),
    async remove({ queue }) {
      await purge(queue)
      await front.link.write('removeQueue', queue)
    },
    stats: ({ queue }) => front.link.read('stats', queue),
    purge: ({ queue }) => purge(queue),
  }
}
