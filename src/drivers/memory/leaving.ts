// The port of jobs that leave for another driver, in memory.
import type { Envelope } from '../../core/envelope.js'
import { heldQueue, leavingEnvelope, type Leaving } from '../../driver/leaving.js'
import { byOrder, handAnew, isWaiting, type Row, type Table } from './table.js'

export function createLeaving(table: () => Table): Leaving {
  const waitingIn = (queue: string) =>
    [...table().rows.values()].filter((row) => row.envelope.queue === queue && isWaiting(row))
  const leaving = (row: Row, queue: string): Envelope =>
    leavingEnvelope({ envelope: row.envelope, queue, dueAt: row.dueAt, holdsKey: row.holdsKey })
  const heldOf = (queue: string, ids: readonly string[]) =>
    waitingIn(heldQueue(queue)).filter((row) => ids.includes(row.envelope.id))
  const put = (row: Row, queue: string) => (row.envelope = { ...row.envelope, queue })

  return {
    async hold({ queue, limit }) {
      const rows = waitingIn(queue).sort(byOrder).slice(0, limit)
      for (const row of rows) {
        put(row, heldQueue(queue))
        // What another broker has of it is stale, and it is handed to nobody.
        handAnew(row)
        row.handAt = undefined
      }
      return rows.map((row) => leaving(row, queue))
    },
    async held({ queue, limit, cursor = '0' }) {
      const rows = waitingIn(heldQueue(queue))
        .filter((row) => row.seq > Number(cursor))
        .slice(0, limit)
      return {
        envelopes: rows.map((row) => leaving(row, queue)),
        ...(rows.length === limit && { cursor: String(rows.at(-1)!.seq) }),
      }
    },
    async gone({ queue, ids }) {
      for (const row of heldOf(queue, ids)) table().rows.delete(row.envelope.id)
      table().emit('done')
    },
    async giveBack({ queue, ids }) {
      const rows = heldOf(queue, ids)
      for (const row of rows) {
        put(row, queue)
        handAnew(row)
      }
      table().emit('work')
      return rows.length
    },
  }
}
