// The broker port over one SQLite file: rows are published, claimed in order of priority and time, and settled.
import { ConfigurationError, LeaseLostError } from '../../core/errors.js'
import {
  BLOCKED_FORGOTTEN,
  type Broker,
  type ConsumeOptions,
  type Consumer,
  type Delivery,
  type QueueStats,
} from '../../driver/driver.js'
import {
  createLostSwitch,
  createPollingConsumer,
  type PolledDelivery,
  type PollingConsumer,
} from '../../driver/polling.js'
import type { Store } from './store.js'
import type { Db, Row, SqliteHandle } from './engine.js'
import type { Tables } from './migrations.js'
import { blockedOf, envelopeOf } from './rows.js'

/** Rows that become ready in one claim at most, so that a flood of due jobs stalls nobody. */
const MAX_DUE = 500
const PURGE_BATCH = 1000

export function createBroker(store: Store): Broker<SqliteHandle> {
  const sql = store.statements(statementsOf)

  function claim(worker: string, queue: string, credit: () => number, suspects: boolean) {
    return store.commits.write((db): Row[] => {
      // Without a beat nobody would notice our death, and the jobs would be stranded.
      if (!db.get(sql().present, worker)) return []
      const now = Date.now()
      let n = credit()
      if (n <= 0) return []
      db.run(sql().promote, queue, now)
      const rows = suspects ? db.all(sql().takeSuspect, worker, now, queue, 1) : []
      n -= rows.length
      if (n > 0) rows.push(...db.all(sql().takeReady, worker, now, queue, n).sort(byOrder))
      return rows
    })
  }

  function deliveryOf(
    row: Row,
    settled: (delivery: PolledDelivery<SqliteHandle>) => void,
  ): PolledDelivery<SqliteHandle> {
    const envelope = envelopeOf(row)
    const { id } = envelope
    const run = Number(row['run'])
    const lost = createLostSwitch()
    /** In one step with what the handler said and nobody wrote yet. */
    const write = async (operation: (db: Db) => boolean, tx?: SqliteHandle): Promise<boolean> => {
      const said = store.notes.take(id, run)
      const both = (db: Db) => {
        if (said) store.keep(db, said)
        return operation(db)
      }
      try {
        return await (tx === undefined ? store.commits.write(both) : store.inTransaction(tx, both))
      } catch (error) {
        if (said) store.notes.add(id, run, said)
        throw error
      }
    }
    const end = async (settle: () => Promise<boolean>): Promise<void> => {
      const owned = await settle()
      settled(delivery)
      if (!owned) throw new LeaseLostError(id, run)
      store.notify('done')
    }
    const delivery: PolledDelivery<SqliteHandle> = {
      envelope,
      run,
      attempt: Number(row['attempts']) + 1,
      crashes: Number(row['crashes']),
      suspect: row['suspect'] === 1,
      ...(Number(row['due_at']) > Date.now() - BLOCKED_FORGOTTEN && blockedOf(row)),
      lose(why) {
        lost.lose(why)
        if (why !== 'cancelled') settled(delivery)
      },
      onLost: lost.onLost,
      async start() {
        if (!(await store.commits.write((db) => store.settle.start(db, id, run)))) throw new LeaseLostError(id, run)
      },
      note: (o) => store.notes.add(id, run, o),
      ack: (o = {}) =>
        end(async () => {
          const owned = await write((db) => {
            const now = Date.now()
            const mine = store.settle.ack(db, id, run, { result: o.result, now })
            if (mine && o.publish !== undefined && o.publish.length > 0) store.publish(db, o.publish, now)
            return mine
          }, o.tx)
          if (owned && o.publish !== undefined) store.notify('work')
          return owned
        }),
      retry: ({ delay, error }) =>
        end(() => write((db) => store.settle.retry(db, id, run, { delay, error, now: Date.now() }))),
      dead: ({ reason, error }) =>
        end(() => write((db) => store.settle.dead(db, id, run, { reason, error, now: Date.now() }))),
      release: ({ delay = 0, why = 'stop' } = {}) =>
        end(async () => {
          const owned = await write((db) => store.settle.release(db, id, run, { delay, why, now: Date.now() }))
          store.notify('work')
          return owned
        }),
    }
    return delivery
  }

  function consume(o: ConsumeOptions<SqliteHandle>): Promise<Consumer> {
    const settled = (delivery: PolledDelivery<SqliteHandle>) => {
      store.hands.remove(o.worker, delivery)
      consumer.settled(delivery)
    }
    const consumer: PollingConsumer<SqliteHandle> = createPollingConsumer<SqliteHandle>({
      prefetch: o.prefetch,
      pollEvery: store.settings.pollEvery,
      onDelivery: (delivery: Delivery<SqliteHandle>) => o.onDelivery(delivery),
      giveBack: (delivery) => delivery.release({ why: 'stop' }),
      onError: (error) => store.logLookError(error, o.queue),
      async claim({ credit, suspects }) {
        // Reading first: a look that finds nothing must not take the write lock.
        const found = store.read((db) => db.get(sql().claimable, o.queue)!)
        const due = found['due'] === null ? Infinity : Number(found['due']) - Date.now()
        const nextDueIn = due === Infinity ? {} : { nextDueIn: Math.max(0, due) }
        const takeSuspect = suspects && found['suspect'] === 1
        if (found['ready'] !== 1 && due > 0 && !takeSuspect) return { deliveries: [], more: false, ...nextDueIn }
        const rows = await claim(o.worker, o.queue, credit, takeSuspect)
        const deliveries = rows.map((row) => deliveryOf(row, settled))
        for (const delivery of deliveries) store.hands.add(o.worker, delivery)
        return { deliveries, more: deliveries.length > 0, ...nextDueIn }
      },
    })
    const off = store.signals.on('work', consumer.wake)
    return Promise.resolve({
      ...consumer,
      async stop() {
        off()
        await consumer.stop()
      },
    })
  }

  async function purge(queue: string): Promise<number> {
    let total = 0
    for (let i = 0; i < sql().purges.length;) {
      const removed = await store.commits.write((db) => db.run(sql().purges[i]!, queue), PURGE_BATCH)
      total += removed
      if (removed < PURGE_BATCH) i++
    }
    return total
  }

  return {
    consume,
    publish({ envelopes, tx }) {
      const write = (db: Db) => store.publish(db, envelopes, Date.now())
      if (tx !== undefined) return Promise.resolve(store.inTransaction(tx, write))
      return store.commits.write(write, envelopes.length).then((receipts) => {
        if (receipts.some((receipt) => !receipt.duplicate)) store.notify('work')
        return receipts
      })
    },
    async declare({ name }) {
      if (store.read((db) => db.get(sql().queue, name))) return
      await store.commits.write((db) => db.run(sql().declare, name, Date.now()))
    },
    list: async () => store.read((db) => db.all(sql().queues).map((row) => String(row['name']))),
    async remove({ queue }) {
      await purge(queue)
      await store.commits.write((db) => {
        if (db.get(sql().inHands, queue))
          throw new ConfigurationError(`Queue "${queue}" has jobs in workers' hands. Stop its workers, then remove it.`)
        db.run(sql().removeQueue, queue)
      })
    },
    stats: async ({ queue }) => store.read((db) => statsOf(db.get(sql().stats, queue, Date.now())!, Date.now())),
    purge: ({ queue }) => purge(queue),
  }
}

const byOrder = (a: Row, b: Row) =>
  Number(b['priority']) - Number(a['priority']) ||
  Number(a['due_at']) - Number(b['due_at']) ||
  Number(a['seq']) - Number(b['seq'])

function statementsOf(t: Tables) {
  const claimable = `
    WITH q(queue) AS (VALUES (?))
    SELECT EXISTS (SELECT 1 FROM ${t.jobs} WHERE state = 'ready' AND suspect = 0 AND queue = (SELECT queue FROM q)) AS ready,
      EXISTS (SELECT 1 FROM ${t.jobs} WHERE state = 'ready' AND suspect = 1 AND queue = (SELECT queue FROM q)) AS suspect,
      (SELECT min(due_at) FROM ${t.jobs} WHERE state = 'scheduled' AND queue = (SELECT queue FROM q)) AS due`
  const promote = `
    UPDATE ${t.jobs} SET state = 'ready' WHERE seq IN (
      SELECT seq FROM ${t.jobs} WHERE state = 'scheduled' AND queue = ? AND due_at <= ? ORDER BY due_at LIMIT ${MAX_DUE})`
  const take = (ready: string) => `
    UPDATE ${t.jobs} SET state = 'active', run = run + 1, worker = ?, started_at = ?,
      holds_key = CASE unique_until WHEN 'started' THEN 0 ELSE holds_key END
    WHERE seq IN (SELECT seq FROM ${t.jobs} WHERE queue = ? AND ${ready} LIMIT ?)
    RETURNING *`
  const takeSuspect = take(`state = 'ready' AND suspect = 1 ORDER BY due_at, seq`)
  const takeReady = take(`state = 'ready' AND suspect = 0 ORDER BY priority DESC, due_at, seq`)
  const present = `SELECT 1 FROM ${t.workers} WHERE id = ?`
  const stats = statsSql(t)
  const queue = `SELECT 1 FROM ${t.queues} WHERE name = ?`
  const queues = `SELECT name FROM ${t.queues} ORDER BY name`
  const declare = `INSERT INTO ${t.queues} (name, declared_at) VALUES (?, ?) ON CONFLICT DO NOTHING`
  const inHands = `SELECT 1 FROM ${t.jobs} WHERE state = 'active' AND queue = ?`
  const removeQueue = `DELETE FROM ${t.queues} WHERE name = ?`
  // One for each partial index: a condition that fits none of them would read every job.
  const purges = [`state = 'ready' AND suspect = 0`, `state = 'ready' AND suspect = 1`, `state = 'scheduled'`].map(
    (waiting) =>
      `DELETE FROM ${t.jobs} WHERE seq IN (SELECT seq FROM ${t.jobs} WHERE queue = ? AND ${waiting} LIMIT ${PURGE_BATCH})`,
  )
  return {
    claimable,
    promote,
    takeSuspect,
    takeReady,
    present,
    stats,
    queue,
    queues,
    declare,
    inHands,
    removeQueue,
    purges,
  }
}

function statsSql(t: Tables): string {
  const here = `queue = (SELECT queue FROM p)`
  const due = `state = 'scheduled' AND due_at <= (SELECT now FROM p)`
  const later = `state = 'scheduled' AND due_at > (SELECT now FROM p)`
  const count = (where: string) => `(SELECT count(*) FROM ${t.jobs} WHERE ${here} AND ${where})`
  const oldest = (where: string) => `SELECT min(due_at) AS due_at FROM ${t.jobs} WHERE ${here} AND ${where}`
  // Each condition repeats that of a partial index, so that finished jobs are never read.
  const ready = [`state = 'ready' AND suspect = 0`, `state = 'ready' AND suspect = 1`, due]
  return `WITH p(queue, now) AS (VALUES (?, ?)) SELECT
    ${ready.map(count).join(' + ')} AS ready,
    ${count(`${later} AND attempts = 0`)} AS scheduled,
    ${count(`${later} AND attempts > 0`)} AS retrying,
    ${count(`state = 'active'`)} AS active,
    ${count(`state = 'dead'`)} AS dead,
    (SELECT min(due_at) FROM (${ready.map(oldest).join(' UNION ALL ')})) AS oldest`
}

function statsOf(row: Row, now: number): QueueStats {
  const oldest = row['oldest'] ?? null
  return {
    ready: Number(row['ready']),
    scheduled: Number(row['scheduled']),
    retrying: Number(row['retrying']),
    active: Number(row['active']),
    dead: Number(row['dead']),
    ...(oldest !== null && { oldestMs: Math.max(0, now - Number(oldest)) }),
  }
}
