// The jobs port in memory.
import { ConfigurationError } from '../../core/errors.js'
import { isFinished } from '../../core/job.js'
import type { JobQuery, Jobs, Moved } from '../../driver/driver.js'
import { finish, handAnew, move, recordOf, stateNow, type Row, type Table } from './table.js'

export function createJobs(table: () => Table): Jobs {
  const matching = (q: JobQuery) => [...table().rows.values()].filter((row) => matches(row, q, table().now())).reverse()
  const page = (q: JobQuery & { limit: number; cursor?: string }) => {
    const before = q.cursor === undefined ? Infinity : Number(q.cursor)
    if (Number.isNaN(before))
      throw new ConfigurationError(`cursor: ${JSON.stringify(q.cursor)} is none that a list has given.`)
    const rows = matching(q)
      .filter((row) => row.seq < before)
      .slice(0, q.limit)
    return { rows, ...(rows.length === q.limit && { cursor: String(rows.at(-1)!.seq) }) }
  }

  function moveOne(row: Row, to: 'ready' | 'cancelled' | 'deleted'): Moved | undefined {
    const { id, name, unique } = row.envelope
    const now = table().now()
    const waiting = row.state === 'ready' || row.state === 'scheduled'
    if (to === 'deleted') {
      if (row.state === 'active') return undefined
      table().rows.delete(id)
    } else if (to === 'cancelled') {
      if (row.state === 'active' && !row.cancelling) row.cancelling = true
      else if (waiting) finish(row, 'cancel', now)
      else return undefined
    } else if (row.state === 'scheduled') {
      row.dueAt = now
      row.state = 'ready'
      row.blocked = undefined
      handAnew(row)
    } else if (row.state === 'dead') {
      const holder = unique && table().holder(name, unique.key)
      if (holder) return { id, conflict: holder.envelope.id }
      revive(row, now)
    } else return undefined
    return { id }
  }

  return {
    get: async ({ ids, finished = false }) =>
      ids
        .map((id) => table().rows.get(id))
        .filter((row) => row !== undefined)
        .filter((row) => !finished || isFinished(row.state))
        .map((row) => recordOf(row, table().now())),
    async list(q) {
      const { rows, cursor } = page(q)
      return { jobs: rows.map((row) => recordOf(row, table().now())), ...(cursor !== undefined && { cursor }) }
    },
    count: async (q) => matching(q).length,
    async move(q) {
      const { rows, cursor } = page(q)
      const moved = rows.map((row) => moveOne(row, q.to)).filter((one) => one !== undefined)
      table().emit(q.to === 'ready' ? 'work' : 'done')
      return { moved, ...(cursor !== undefined && { cursor }) }
    },
    async prune({ limit }) {
      const now = table().now()
      const over = [...table().rows.values()].filter((row) => (row.pruneAt ?? Infinity) <= now).slice(0, limit)
      for (const row of over) table().rows.delete(row.envelope.id)
      return over.length
    },
    logs: async ({ id, after = 0, limit }) =>
      (table().rows.get(id)?.lines ?? []).filter((line) => line.n > after).slice(0, limit),
  }
}

/** An operator's retry: fresh attempts and a fresh life time; the run number goes on. */
function revive(row: Row, now: number): void {
  move(row, 'revive', now)
  row.suspect = row.reason === 'crashed'
  row.dueAt = now
  row.attempts = 0
  row.crashes = 0
  row.reason = undefined
  row.blocked = undefined
  row.finishedAt = undefined
  row.pruneAt = undefined
  row.holdsKey = row.envelope.unique !== undefined
  if (row.envelope.expiresAt !== undefined) row.expiresAt = now + (row.envelope.expiresAt - row.envelope.enqueuedAt)
  handAnew(row)
}

function matches(row: Row, q: JobQuery, now: number): boolean {
  const { envelope } = row
  const last = row.errors.at(-1)
  return (
    (q.ids?.includes(envelope.id) ?? true) &&
    (q.name === undefined || q.name === envelope.name) &&
    (q.queue === undefined || q.queue === envelope.queue) &&
    (q.states?.includes(stateNow(row, now)) ?? true) &&
    (q.reason === undefined || q.reason === row.reason) &&
    (q.group === undefined || q.group === envelope.group) &&
    (q.error === undefined ||
      (last !== undefined && `${last.name}: ${last.message}`.toLowerCase().includes(q.error.toLowerCase()))) &&
    (q.since === undefined || envelope.enqueuedAt >= q.since) &&
    (q.before === undefined || envelope.enqueuedAt < q.before) &&
    (q.worker === undefined || q.worker === row.worker) &&
    (q.suspect === undefined || (row.suspect && row.state === 'ready')) &&
    (q.blocked === undefined || q.blocked === row.blocked?.why)
  )
}
