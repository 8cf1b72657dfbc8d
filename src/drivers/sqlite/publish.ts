// Writing new jobs: one row each, its unique key in the same step.
import type { Envelope } from '../../core/envelope.js'
import type { Receipt } from '../../driver/driver.js'
import { standing } from '../../driver/receipts.js'
import type { Db } from './engine.js'
import type { Tables } from './migrations.js'
import type { Hooks } from './operations.js'

/** Adds rows for envelopes; must run inside a transaction. */
export type Publish = (db: Db, envelopes: readonly Envelope[]) => Receipt[]

export function createPublish(t: Tables, hooks: Pick<Hooks, 'ready'>): Publish {
  const insert = `
    INSERT INTO ${t.jobs} (id, queue, name, state, priority, due_at, body, headers, enqueued_at, expires_at, expires_in,
      unique_key, unique_until, unique_until_at, holds_key, job_group, keep_completed, keep_dead)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`
  const nameOfId = `SELECT name FROM ${t.jobs} WHERE id = ?`
  const holderOfKey = `SELECT id, state, unique_until_at FROM ${t.jobs} WHERE name = ? AND unique_key = ? AND holds_key = 1`
  const freeKey = `UPDATE ${t.jobs} SET holds_key = 0 WHERE id = ?`
  const declare = `INSERT INTO ${t.queues} (name, declared_at) VALUES (?, ?) ON CONFLICT DO NOTHING`

  /** The job that holds the key, unless its time is over. */
  function holder(db: Db, name: string, key: string, now: number): string | undefined {
    const row = db.get(holderOfKey, name, key)
    if (!row) return undefined
    if (row['state'] !== 'completed' || Number(row['unique_until_at']) > now) return String(row['id'])
    db.run(freeKey, row['id']!)
    return undefined
  }

  function add(db: Db, e: Envelope, now: number): Receipt {
    if (e.unique) {
      const same = db.get(nameOfId, e.id)
      if (same) return standing(e, String(same['name']))
      const id = holder(db, e.name, e.unique.key, now)
      if (id !== undefined) return { id, duplicate: true }
    }
    const due = e.notBefore ?? e.enqueuedAt
    const until = e.unique?.until
    const inserted = db.run(
      insert,
      e.id,
      e.queue,
      e.name,
      due > now ? 'scheduled' : 'ready',
      e.priority,
      due,
      e.body,
      JSON.stringify(e.headers),
      e.enqueuedAt,
      e.expiresAt ?? null,
      e.expiresAt === undefined ? null : e.expiresAt - e.enqueuedAt,
      e.unique?.key ?? null,
      until === undefined ? null : typeof until === 'number' ? 'time' : until,
      typeof until === 'number' ? e.enqueuedAt + until : null,
      e.unique ? 1 : 0,
      e.group ?? null,
      e.keep.completed,
      e.keep.dead,
    )
    if (inserted === 1) return { id: e.id, duplicate: false }
    return standing(e, String(db.get(nameOfId, e.id)?.['name']))
  }

  return (db, envelopes) => {
    const now = Date.now()
    for (const queue of new Set(envelopes.map((e) => e.queue))) {
      db.run(declare, queue, now)
      hooks.ready(queue)
    }
    return envelopes.map((e) => add(db, e, now))
  }
}
