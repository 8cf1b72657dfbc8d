// The ledger port: the books of jobs that another broker moves.
import type { Envelope } from '../../core/envelope.js'
import { BrokerUnavailableError, KEPT_ERRORS } from '../../core/errors.js'
import type { Added, Arrival, Ended, Handing, Ledger, LedgerHolder } from '../../driver/ledger.js'
import type { SqliteHandle, SqlValue } from './engine.js'
import { SqliteDelivery, type Holder } from './delivery.js'
import { receiptsOf, type Front } from './front.js'
import { ARRIVAL, ENDED, STARTED } from './ledger-sql.js'
import { packEnvelope, packEnvelopes } from './packing.js'
import { SPENT } from './settle.js'
import { NO_SLOT } from './slots.js'

/** The ticket that a job gets with its first handing. */
const FIRST = 1

export function createLedger(front: Front): Ledger<SqliteHandle> {
  const packed = (handings: readonly Handing[]) => handings.flatMap(({ id, ticket }): SqlValue[] => [id, ticket])

  async function add(envelopes: readonly Envelope[]): Promise<readonly Added[]> {
    const { duplicates, later } = await front.link.write('addJobs', packEnvelopes(envelopes), envelopes.length)
    const waiting = new Set(later)
    return receiptsOf(envelopes, duplicates).map((receipt, place): Added =>
      receipt.duplicate || waiting.has(place) ? receipt : { ...receipt, ticket: FIRST },
    )
  }

  return {
    add: ({ envelopes, tx }) =>
      tx === undefined ? add(envelopes) : Promise.resolve(front.publishInTransaction(tx, envelopes)),
    async handed({ handings }) {
      await front.link.gather('handed', packed(handings), handings.length).done
    },
    async withdraw({ handings }) {
      await front.link.write('withdraw', packed(handings), handings.length)
    },
    async due({ limit, worker = null }) {
      // Reading first: mostly nothing is due, and then nobody needs the write lock.
      const seen = await front.link.read('nextHanding', null)
      if (seen === null || seen > Date.now()) return { handings: [], ...inMs(seen) }
      const { handings, next } = await front.link.write('takeDue', { limit, worker }, limit)
      return { handings, ...inMs(next) }
    },
    hold: async (o) => createHolder(front, o),
    async record({ ended }) {
      const values = packEnded(ended)
      const { at, done } = front.link.gather('record', values, ended.length)
      const there = await done // few, if any
      return ended.map((_, i) => !there.includes(at / ENDED + i))
    },
  }
}

const inMs = (next: number | null) => (next === null ? {} : { nextDueIn: Math.max(0, next - Date.now()) })

function createHolder(front: Front, o: { queue: string; worker: string }): LedgerHolder<SqliteHandle> {
  const { link } = front
  const inHand = new Set<SqliteDelivery>()
  const hand = front.holds(o.worker, inHand)
  const free = link.hold(() => {
    for (const delivery of inHand) delivery.lose('link') // those that it loses leave the set meanwhile
  })
  const holder: Holder = {
    link,
    queue: o.queue,
    ackInTransaction: front.ackInTransaction,
    note: front.note,
    said: front.said,
    begin: () => true,
    left: (delivery) => void inHand.delete(delivery),
    kept: (delivery) => void inHand.add(delivery),
  }
  let stopped = false

  return {
    async start(arrivals) {
      if (stopped) throw refused(`The consumer of worker ${o.worker} has stopped, so nothing more is started for it.`)
      const { at, done } = link.gather('startArrivals', packArrivals(arrivals, o.worker), arrivals.length)
      const { rows, absent } = await done
      if (absent.includes(o.worker))
        throw refused(`Worker ${o.worker} does not beat, so it is given no jobs. Try again after its next beat.`)
      return arrivals.map(({ envelope }, i) => {
        const delivery = deliveryOf(holder, envelope, rows, (at / ARRIVAL + i) * STARTED)
        if (delivery) inHand.add(delivery)
        return delivery
      })
    },
    async stop() {
      if (stopped) return
      stopped = true
      hand.end()
      free()
    },
  }
}

function packEnded(ended: readonly Ended[]): SqlValue[] {
  const values: (string | number | null)[] = []
  for (const { envelope, state, run, attempt, result, reason, error, errors = [] } of ended) {
    const spent = state === 'dead' && !(reason && SPENT.includes(reason)) ? attempt - 1 : attempt
    const kept = error ? [...errors, error].slice(-KEPT_ERRORS) : errors.slice(-KEPT_ERRORS)
    packEnvelope(values, envelope)
    values.push(state, run, spent, result ?? null, reason ?? null, kept.length === 0 ? '[]' : JSON.stringify(kept))
  }
  return values
}

const refused = (message: string) => new BrokerUnavailableError(message, { outcome: 'not-sent' })

function packArrivals(arrivals: readonly Arrival[], worker: string): SqlValue[] {
  const values: SqlValue[] = []
  for (const { envelope, ticket, course } of arrivals)
    values.push(envelope.id, ticket ?? null, worker, ticket === undefined ? JSON.stringify({ envelope, course }) : null)
  return values
}

function deliveryOf(holder: Holder, envelope: Envelope, rows: SqlValue[], at: number): SqliteDelivery | undefined {
  const [seq, run, attempts, dueAt, rare] = [rows[at]!, rows[at + 1]!, rows[at + 2]!, rows[at + 3]!, rows[at + 4]!]
  if (seq === null) return undefined
  const { id, name, body, priority, enqueuedAt, keep } = envelope
  // In the order of a claimed row.
  // prettier-ignore
  const row = [
    seq, id, name, body, priority, dueAt, enqueuedAt, run, attempts, keep.completed, keep.dead, rare, NO_SLOT,
  ]
  return new SqliteDelivery(holder, row, 0, envelope)
}
