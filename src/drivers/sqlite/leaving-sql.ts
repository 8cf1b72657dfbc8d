// The operations behind the port of jobs that leave for another driver: held in a queue that nobody reads, until they are gone.
import type { Envelope } from '../../core/envelope.js'
import { heldQueue, leavingEnvelope } from '../../driver/leaving.js'
import type { Db, Row } from './engine.js'
import type { Hooks } from './hooks.js'
import { cursorIn, cursorOf } from './jobs-sql.js'
import { handAnew } from './ledger-schema.js'
import type { Tables } from './migrations.js'
import { recordOf } from './rows.js'

/** What waits, one for each partial index, and in its order. */
const WAITING = [
  [`state = 'ready' AND suspect = 0`, 'priority DESC, due_at, seq'],
  [`state = 'ready' AND suspect = 1`, 'due_at, seq'],
  [`state = 'scheduled'`, 'due_at'],
] as const

export function leavingReads(t: Tables) {
  const parts = WAITING.map(
    ([waiting]) =>
      `SELECT * FROM ${t.jobs} WHERE queue = (SELECT queue FROM p) AND ${waiting} AND seq > (SELECT after FROM p)`,
  )
  const page = `WITH p(queue, after) AS (VALUES (?, ?)) SELECT * FROM (${parts.join(' UNION ALL ')}) ORDER BY seq LIMIT ?`
  return {
    held(db: Db, o: { queue: string; limit: number; cursor?: string }): { envelopes: Envelope[]; cursor?: string } {
      const rows = db.all(page, heldQueue(o.queue), cursorIn(o.cursor, 0), o.limit)
      return { envelopes: envelopesOf(rows, o.queue), ...cursorOf(rows, o.limit) }
    },
  }
}

export function leavingWrites(t: Tables, hooks: Hooks) {
  // What another broker has of them is stale from now on, and they are handed to nobody.
  const holds = WAITING.map(
    ([waiting, order]) => `
    UPDATE ${t.jobs} SET queue = ?, ticket = ticket + 1, hand_at = NULL WHERE seq IN (
      SELECT seq FROM ${t.jobs} WHERE queue = ? AND ${waiting} ORDER BY ${order} LIMIT ?) RETURNING *`,
  )
  const ofIds = `queue = ? AND id IN (SELECT value FROM json_each(?)) AND state <> 'active'`
  const gone = `DELETE FROM ${t.jobs} WHERE ${ofIds}`
  const giveBack = `UPDATE ${t.jobs} SET queue = ?, ${handAnew(t, 'due_at')} WHERE ${ofIds}`
  return {
    hold(db: Db, o: { queue: string; limit: number }): Envelope[] {
      const rows: Row[] = []
      for (const hold of holds)
        if (rows.length < o.limit) rows.push(...db.all(hold, heldQueue(o.queue), o.queue, o.limit - rows.length))
      return envelopesOf(rows.sort(byOrder), o.queue)
    },
    gone(db: Db, o: { queue: string; ids: readonly string[] }): void {
      db.run(gone, heldQueue(o.queue), JSON.stringify(o.ids))
      // Who waits for their results learns that they are not here.
      hooks.done()
    },
    giveBack(db: Db, o: { queue: string; ids: readonly string[] }): number {
      const back = db.run(giveBack, o.queue, heldQueue(o.queue), JSON.stringify(o.ids))
      hooks.ready(o.queue)
      return back
    },
  }
}

function envelopesOf(rows: readonly Row[], queue: string): Envelope[] {
  const now = Date.now()
  return rows.map((row) => {
    const { envelope, dueAt } = recordOf(row, now)
    return leavingEnvelope({ envelope, queue, dueAt, holdsKey: row['holds_key'] === 1 })
  })
}

const byOrder = (a: Row, b: Row) =>
  Number(b['priority']) - Number(a['priority']) ||
  Number(a['due_at']) - Number(b['due_at']) ||
  Number(a['seq']) - Number(b['seq'])
