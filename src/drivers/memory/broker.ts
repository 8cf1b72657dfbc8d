// The broker port in memory.
import { ConfigurationError, LeaseLostError, type DeadReason } from '../../core/errors.js'
import { BLOCKED_FORGOTTEN, type Broker, type Delivery } from '../../driver/driver.js'
import {
  createLostSwitch,
  createPollingConsumer,
  type PolledDelivery,
  type PollingConsumer,
} from '../../driver/polling.js'
import {
  byOrder,
  finish,
  holdKeyAgain,
  isWaiting,
  keepError,
  keepLines,
  startRow,
  stateNow,
  waitAgain,
  type Row,
  type Table,
} from './table.js'

const POLL_EVERY = 1_000

export function createBroker(table: () => Table): Broker {
  const ofQueue = (queue: string) => [...table().rows.values()].filter((row) => row.envelope.queue === queue)

  function claim(queue: string, worker: string, credit: () => number, suspects: boolean): Row[] {
    // Without a beat nobody would notice our death.
    if (!table().workers.has(worker)) return []
    const now = table().now()
    const ready = ofQueue(queue).filter((row) => stateNow(row, now) === 'ready')
    const suspect = suspects ? ready.filter((row) => row.suspect).slice(0, 1) : []
    const rest = ready.filter((row) => !row.suspect).sort(byOrder)
    const taken = [...suspect, ...rest].slice(0, Math.max(0, credit()))
    for (const row of taken) {
      startRow(row, worker, now)
    }
    return taken
  }

  function nextDueIn(queue: string): { nextDueIn?: number } {
    const now = table().now()
    const times = ofQueue(queue).filter((row) => stateNow(row, now) === 'scheduled')
    const earliest = Math.min(...times.map((row) => row.dueAt))
    return earliest === Infinity ? {} : { nextDueIn: earliest - now }
  }

  return {
    async declare({ name }) {
      table().queues.add(name)
    },
    list: async () => [...table().queues].sort(),
    async remove({ queue }) {
      for (const row of ofQueue(queue)) if (isWaiting(row)) table().rows.delete(row.envelope.id)
      table().queues.delete(queue)
    },
    async publish({ envelopes }) {
      const receipts = table().add(envelopes)
      table().emit('work')
      return receipts
    },
    async consume(o) {
      if (table().ledger)
        throw new ConfigurationError(
          'This store keeps the books of a broker: take jobs from that broker, and connect with both.',
        )
      const consumer: PollingConsumer<never> = createPollingConsumer<never>({
        prefetch: o.prefetch,
        pollEvery: POLL_EVERY,
        onDelivery: (delivery: Delivery) => o.onDelivery(delivery),
        giveBack: (delivery) => delivery.release(),
        onError: () => {},
        async claim({ credit, suspects }) {
          const rows = claim(o.queue, o.worker, credit, suspects)
          const deliveries = rows.map((row) => deliveryOf(table(), row, consumer.settled))
          return { deliveries, more: deliveries.length > 0, ...nextDueIn(o.queue) }
        },
      })
      const offWork = table().on('work', consumer.wake)
      // What the table says of a job in our hands: cancelled, or somebody else's.
      const offDone = table().on('done', () => {
        for (const delivery of consumer.inHand) (delivery as MemoryDelivery).look()
      })
      return {
        ...consumer,
        async stop() {
          offWork()
          offDone()
          await consumer.stop()
        },
      }
    },
    async stats({ queue }) {
      const rows = ofQueue(queue)
      const now = table().now()
      const states = rows.map((row) => stateNow(row, now))
      const count = (test: (row: Row, state: string) => boolean) =>
        rows.filter((row, i) => test(row, states[i]!)).length
      const oldest = Math.min(...rows.filter((_, i) => states[i] === 'ready').map((row) => row.dueAt))
      return {
        ready: count((_, state) => state === 'ready'),
        scheduled: count((row, state) => state === 'scheduled' && row.attempts === 0),
        retrying: count((row, state) => state === 'scheduled' && row.attempts > 0),
        active: count((_, state) => state === 'active'),
        dead: count((_, state) => state === 'dead'),
        ...(oldest !== Infinity && { oldestMs: Math.max(0, now - oldest) }),
      }
    },
    async purge({ queue }) {
      const waiting = ofQueue(queue).filter(isWaiting)
      for (const row of waiting) table().rows.delete(row.envelope.id)
      return waiting.length
    },
  }
}

/** A death that a handler's run led to; the others spend no attempt. */
export const isSpent = (reason: DeadReason | undefined) => reason === 'failed' || reason === 'invalid-output'

export interface MemoryDelivery extends PolledDelivery<never> {
  /** Notice what others did to the job. */
  look(): void
}

export function deliveryOf(table: Table, row: Row, settled: (delivery: PolledDelivery<never>) => void): MemoryDelivery {
  const { run, envelope } = row
  const lost = createLostSwitch()
  const mine = () => row.state === 'active' && row.run === run && table.rows.get(envelope.id) === row
  /** Settle: fenced by the run, and a cancelled job ends cancelled whatever the verb. */
  const end = async (write: (now: number) => void): Promise<void> => {
    const owned = mine()
    const now = table.now()
    if (owned && row.cancelling) finish(row, 'cancel', now)
    else if (owned) write(now)
    settled(delivery)
    if (!owned) throw new LeaseLostError(envelope.id, run)
    table.emit('done')
    table.emit('work')
  }
  const delivery: MemoryDelivery = {
    envelope: row.expiresAt === undefined ? envelope : { ...envelope, expiresAt: row.expiresAt },
    run,
    attempt: row.attempts + 1,
    crashes: row.crashes,
    suspect: row.suspect,
    ...(row.blocked && row.dueAt > table.now() - BLOCKED_FORGOTTEN && { blocked: row.blocked }),
    lose(why) {
      lost.lose(why)
      if (why !== 'cancelled') settled(delivery)
    },
    onLost: lost.onLost,
    look() {
      if (!mine()) delivery.lose('lease')
      else if (row.cancelling) delivery.lose('cancelled')
    },
    async start() {
      if (!mine()) throw new LeaseLostError(envelope.id, run)
      row.startWritten = true
    },
    note({ progress, note, log }) {
      if (!mine()) return
      row.progress = progress ?? row.progress
      row.note = note ?? row.note
      if (log !== undefined) keepLines(row, log)
    },
    ack: ({ result, publish = [] } = {}) =>
      end((now) => {
        row.attempts += 1
        row.result = result
        row.suspect = false
        finish(row, 'complete', now)
        table.add(publish)
      }),
    retry: ({ delay, error }) =>
      end((now) => {
        row.attempts += 1
        row.suspect = false
        row.blocked = undefined
        keepError(row, error)
        waitAgain(row, 'retry', delay, now)
      }),
    dead: ({ reason, error }) =>
      end((now) => {
        if (isSpent(reason)) row.attempts += 1
        row.reason = reason
        keepError(row, error)
        finish(row, 'bury', now)
      }),
    release: ({ delay = 0, why = 'stop' } = {}) =>
      end((now) => {
        if (why === 'later') row.suspect = false
        else holdKeyAgain(table, row)
        const goesOn = row.blocked?.why === why && row.dueAt > now - BLOCKED_FORGOTTEN
        if (why !== 'stop' && !goesOn) row.blocked = { why, since: now }
        waitAgain(row, 'release', delay, now)
      }),
  }
  return delivery
}
