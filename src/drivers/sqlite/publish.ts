// Writing new jobs: one row each, its unique key in the same step.
import { standing } from '../../driver/receipts.js'
import type { Db } from './engine.js'
import type { Tables } from './migrations.js'
import type { Hooks } from './hooks.js'
import { isLedger } from './ledger-schema.js'
import { ENVELOPE, type Packed, type RareParts } from './packing.js'

/** The place of an envelope that is no new job, and the id of the job that stands for it. */
export type Duplicate = readonly [place: number, id: string]

/** Adds rows for envelopes; must run inside a transaction. Answers which of them are no new jobs. `now`: by our clock. */
export type Publish = (db: Db, envelopes: Packed, now?: number) => readonly Duplicate[]

interface Inserts {
  readonly plain: string
  readonly full: string
}

/**
 * @param patience for how many milliseconds a job that is ready is left to who adds it, who hands it to another broker; left
 * out: nobody does that
 */
export function createPublish(t: Tables, hooks: Pick<Hooks, 'ready'>, patience?: number): Publish {
  // What most jobs are, with the least to bind.
  const insertPlain = (columns: string, places: string) => `
    INSERT INTO ${t.jobs} (id, queue, name, state, priority, due_at, body, headers, enqueued_at, keep_completed, keep_dead${columns})
    VALUES (?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?${places})
    ON CONFLICT (id) DO NOTHING`
  const insert = (columns: string, places: string) => `
    INSERT INTO ${t.jobs} (id, queue, name, state, priority, due_at, body, headers, enqueued_at, keep_completed, keep_dead,
      expires_at, expires_in, unique_key, unique_until, unique_until_at, holds_key, job_group${columns})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?${places})
    ON CONFLICT (id) DO NOTHING`
  // In a file whose jobs another broker moves, it is also written when they are to be handed over.
  const [alone, withHanding] = [['', ''] as const, [', ticket, hand_at', ', ?, ?'] as const].map(
    ([columns, places]) => ({ plain: insertPlain(columns, places), full: insert(columns, places) }),
  ) as [Inserts, Inserts]
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

  // Who adds a job for another broker removes it when that broker refuses it, unless its ticket is another by then.
  const spare = `UPDATE ${t.jobs} SET ticket = ticket + 1, hand_at = ? WHERE id = ? AND ticket = 1 AND state = 'ready' AND run = 0 AND hand_at IS NOT NULL`

  let marked = patience !== undefined
  let lookedAt = 0
  /** Whether another broker moves the jobs of this file: asked at most once in a millisecond, until it is so. */
  function isMarked(db: Db, now: number): boolean {
    if (marked || lookedAt === now) return marked
    lookedAt = now
    return (marked = isLedger(db, t))
  }

  /** Ticket and time of the first handing. */
  const handing = (due: number, now: number): readonly number[] =>
    !marked ? [] : patience === undefined || due > now ? [0, due] : [1, now + patience]

  /** The id of the job that stands for this one already; `undefined` when it is new. */
  function add(db: Db, inserts: Inserts, values: Packed, at: number, now: number): string | undefined {
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
      return Number(db.prepare(inserts.plain)
        .run(id, queue, name, priority, atOnce, body, headers, enqueuedAt, keepCompleted, keepDead, ...handing(atOnce, now)).changes) === 1
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
      inserts.full,
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
      ...handing(due, now),
    )
    return inserted === 1 ? undefined : known()
  }

  /** Somebody was told that these stand for his, so they must not go; they are to be handed over in any case. */
  function spareStanding(db: Db, values: Packed, duplicates: readonly Duplicate[], now: number): void {
    const places = new Set(duplicates.map(([place]) => place))
    const mine = new Set<unknown>()
    for (let at = 0; at < values.length; at += ENVELOPE) if (!places.has(at / ENVELOPE)) mine.add(values[at])
    for (const [, id] of duplicates) if (!mine.has(id)) db.run(spare, now, id)
  }

  return (db, values, now = Date.now()) => {
    const inserts = isMarked(db, now) ? withHanding : alone
    const queues = new Set<string>()
    const duplicates: Duplicate[] = []
    for (let at = 0; at < values.length; at += ENVELOPE) {
      queues.add(values[at + 1] as string)
      const id = add(db, inserts, values, at, now)
      if (id !== undefined) duplicates.push([at / ENVELOPE, id])
    }
    if (marked && duplicates.length > 0) spareStanding(db, values, duplicates, now)
    for (const queue of queues) {
      db.run(declare, queue, now)
      hooks.ready(queue)
    }
    return duplicates
  }
}
