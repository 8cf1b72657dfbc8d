// The ledger port in memory.
import { BrokerUnavailableError, JobConflictError } from '../../core/errors.js'
import type { Added, Arrival, Ended, Handing, Ledger, LedgerHolder } from '../../driver/ledger.js'
import { deliveryOf, isSpent, type MemoryDelivery } from './broker.js'
import { finish, keepError, startRow, stateNow, type Row, type Table } from './table.js'

export function createLedger(table: () => Table, patience: number): Ledger {
  const rowOf = ({ id, ticket }: Handing): Row | undefined => {
    const row = table().rows.get(id)
    return row?.ticket === ticket ? row : undefined
  }
  /** Given to somebody to be handed over: left alone for a while. */
  function give(row: Row, worker?: string): void {
    row.ticket += 1
    row.handedBy = worker
    row.handAt = table().now() + patience
  }

  return {
    async add({ envelopes }) {
      const receipts = table().add(envelopes)
      const added = receipts.map((receipt): Added => {
        const row = table().rows.get(receipt.id)!
        if (receipt.duplicate || row.state !== 'ready') return receipt
        give(row)
        return { ...receipt, ticket: row.ticket }
      })
      if (added.some(({ duplicate, ticket }) => !duplicate && ticket === undefined)) table().emit('work')
      return added
    },
    async handed({ handings }) {
      for (const handing of handings) {
        const row = rowOf(handing)
        if (row) row.handAt = undefined
      }
    },
    async withdraw({ handings }) {
      for (const handing of handings) {
        const row = rowOf(handing)
        if (row?.state === 'ready' && row.run === 0) table().rows.delete(handing.id)
      }
    },
    async due({ limit, worker }) {
      const now = table().now()
      const waiting = () =>
        [...table().rows.values()].filter((row) => row.handAt !== undefined).sort((a, b) => a.handAt! - b.handAt!)
      const due = waiting().filter((row) => row.handAt! <= now)
      const handings = due.slice(0, limit).map((row) => {
        row.state = 'ready'
        give(row, worker)
        const { envelope, ticket, suspect, expiresAt } = row
        const { notBefore: _, ...current } = expiresAt === undefined ? envelope : { ...envelope, expiresAt }
        return { id: envelope.id, ticket, envelope: current, suspect }
      })
      const next = waiting()[0]?.handAt
      return { handings, ...(next !== undefined && { nextDueIn: Math.max(0, next - now) }) }
    },
    hold: async ({ worker }) => createHolder(table, worker),
    record: async ({ ended }) => {
      const written = ended.map((one) => recordOne(table(), one))
      table().emit('done')
      return written
    },
  }
}

function createHolder(table: () => Table, worker: string): LedgerHolder {
  const inHand = new Set<MemoryDelivery>()
  // What the table says of a job in our hands: cancelled, or somebody else's.
  const off = table().on('done', () => {
    for (const delivery of inHand) delivery.look()
  })
  let stopped = false
  return {
    async start(arrivals) {
      if (stopped || !table().workers.has(worker))
        throw new BrokerUnavailableError(
          `Worker ${worker} has stopped or does not beat, so it is given no jobs. Try again after its next beat.`,
          { outcome: 'not-sent' },
        )
      return arrivals.map((arrival) => {
        const row = arrival.ticket === undefined ? foreignRow(table(), arrival) : table().rows.get(arrival.envelope.id)
        if (!row || row.ticket !== (arrival.ticket ?? 0) || row.state !== 'ready') return undefined
        startRow(row, worker, table().now())
        const delivery = deliveryOf(table(), row, (one) => void inHand.delete(one as MemoryDelivery))
        inHand.add(delivery)
        return delivery
      })
    },
    async stop() {
      stopped = true
      off()
    },
  }
}

/** The job of a message that somebody sent who does not know the store; written when there is none yet. */
function foreignRow(table: Table, { envelope, course }: Arrival): Row | undefined {
  // It has arrived, so it waits no more.
  const { notBefore: _, ...arrived } = envelope
  try {
    const [receipt] = table.rows.has(envelope.id) ? [] : table.add([arrived])
    if (receipt?.duplicate) return undefined
    if (receipt && course) Object.assign(table.rows.get(envelope.id)!, course)
  } catch (error) {
    if (error instanceof JobConflictError) return undefined
    throw error
  }
  const row = table.rows.get(envelope.id)!
  if (row.envelope.name !== envelope.name) return undefined
  row.state = stateNow(row, table.now())
  return row
}

/** Whether it was written: there was no job with this id. */
function recordOne(
  table: Table,
  { envelope, state, run, attempt, result, reason, error, errors = [] }: Ended,
): boolean {
  if (table.rows.has(envelope.id)) return false
  const row = table.enter(envelope)
  const now = table.now()
  row.state = 'active'
  row.run = run
  row.attempts = state === 'dead' && !isSpent(reason) ? attempt - 1 : attempt
  row.result = result
  row.reason = reason
  for (const one of error ? [...errors, error] : errors) keepError(row, one)
  finish(row, state === 'dead' ? 'bury' : 'complete', now)
  row.holdsKey = false
  return true
}
