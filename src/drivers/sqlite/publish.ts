// Writing new jobs: one row each, its unique key in the same step.
import { standing } from '../../driver/receipts.js'
import type { Db } from './engine.js'
import type { Tables } from './migrations.js'
import type { Hooks } from './hooks.js'
import { ENVELOPE, type Packed, type RareParts } from './packing.js'

/** The place of an envelope that is no new job, and the id of the job that stands for it. */
export type Duplicate = readonly [place: number, id: string]

/** Adds rows for envelopes; must run inside a transaction. Answers which of them are no new jobs. */
export type Publish = (db: Db, envelopes: Packed) => readonly Duplicate[]

export function createPublish(t: Tables, hooks: Pick<Hooks, 'ready'>): Publish {
  // What most jobs are, with the least to bind.
  const insertPlain = `
    INSERT INTO ${t.jobs} (id, queue, name, state, priority, due_at, body, headers, enqueued_at, keep_completed, keep_dead)
    VALUES (?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`
  const insert = `
    INSERT INTO ${t.jobs} (id, queue, name, state, priority, due_at, body, headers, enqueued_at, keep_completed, keep_dead,
      expires_at, expires_in, unique_key, unique_until, unique_until_at, holds_key, job_group)
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

  /** The id of the job that stands for this one already; `undefined` when it is new. */
  function add(db: Db, values: Packed, at: number, now: number): string | undefined {
    const text = (place: number) => values[at + place] as string
    const number = (place: number) => values[at + place] as number
    const [id, queue, name, body, headers] = [text(0), text(1), text(2), text(3), text(4)]
    const [priority, enqueuedAt, keepCompleted, keepDead] = [number(5), number(6), number(7), number(8)]
    const rare = values[at + 9] as string | null
    const known = () => standing({ id, name }, String(db.get(nameOfId, id)?.['name'])).id
    // A job without a delay is ready now, whatever the clock of who made it says.
    const atOnce = Math.min(enqueuedAt, now)
    if (rare === null)
      // prettier-ignore
      return Number(db.prepare(insertPlain)
        .run(id, queue, name, priority, atOnce, body, headers, enqueuedAt, keepCompleted, keepDead).changes) === 1
        ? undefined : known()

    const { notBefore, expiresAt, unique, group } = JSON.parse(rare) as RareParts
    if (unique) {
      if (db.get(nameOfId, id)) return known()
      const held = holder(db, name, unique.key, now)
      if (held !== undefined) return held
    }
    const due = notBefore ?? atOnce
    const until = unique?.until
    const inserted = db.run(
      insert,
      id,
      queue,
      name,
      due > now ? 'scheduled' : 'ready',
      priority,
      due,
      body,
      headers,
      enqueuedAt,
      keepCompleted,
      keepDead,
      expiresAt ?? null,
      expiresAt === undefined ? null : expiresAt - enqueuedAt,
      unique?.key ?? null,
      until === undefined ? null : typeof until === 'number' ? 'time' : until,
      typeof until === 'number' ? enqueuedAt + until : null,
      unique ? 1 : 0,
      group ?? null,
    )
    return inserted === 1 ? undefined : known()
  }

  return (db, values) => {
    const now = Date.now()
    const queues = new Set<string>()
    const duplicates: Duplicate[] = []
    for (let at = 0; at < values.length; at += ENVELOPE) {
      queues.add(values[at + 1] as string)
      const id = add(db, values, at, now)
      if (id !== undefined) duplicates.push([at / ENVELOPE, id])
    }
    for (const queue of queues) {
      db.run(declare, queue, now)
      hooks.ready(queue)
    }
    return duplicates
  }
}
