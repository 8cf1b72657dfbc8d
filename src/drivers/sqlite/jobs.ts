// The jobs port: look up, list, count, the operator's moves, and retention.
import { ConfigurationError } from '../../core/errors.js'
import type { Jobs, Moved } from '../../driver/driver.js'
import type { Db, Row } from './engine.js'
import { createLogs } from './logs.js'
import type { Tables } from './migrations.js'
import { conditionOf, recordOf } from './rows.js'
import type { Store } from './store.js'

export function createJobs(store: Store): Jobs {
  const sql = store.statements(statementsOf)
  const logs = store.statements(createLogs)
  const cursorOf = (rows: readonly Row[], limit: number) =>
    rows.length < limit ? {} : { cursor: String(rows.at(-1)!['seq']) }
  const before = (cursor: string | undefined) => {
    if (cursor === undefined) return Number.MAX_SAFE_INTEGER
    if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
    throw new ConfigurationError(`cursor: ${JSON.stringify(cursor)} is none that a list has given.`)
  }

  function toReady(db: Db, row: Row, now: number): Moved | undefined {
    const { id, name, seq, unique_key: key } = row
    if (row['state'] === 'scheduled') return db.run(sql().runNow, now, seq!) === 1 ? { id: String(id) } : undefined
    if (row['state'] !== 'dead') return undefined
    if (key !== null) {
      db.run(sql().free, name!, key!, now)
      const taken = db.get(sql().holder, name!, key!)
      if (taken) return { id: String(id), conflict: String(taken['id']) }
    }
    return db.run(sql().revive, now, now, seq!) === 1 ? { id: String(id) } : undefined
  }

  function moveOne(db: Db, row: Row, to: 'ready' | 'cancelled' | 'deleted', now: number): Moved | undefined {
    if (to === 'ready') return toReady(db, row, now)
    const changed =
      to === 'deleted'
        ? db.run(sql().remove, row['seq']!)
        : db.run(sql().cancelWaiting, now, now, row['seq']!) || db.run(sql().cancelActive, row['seq']!)
    return changed === 1 ? { id: String(row['id']) } : undefined
  }

  return {
    get: async ({ ids, finished = false }) =>
      store.read((db) => {
        const now = Date.now()
        const rows = db.all(finished ? sql().finishedById : sql().byId, JSON.stringify(ids))
        return rows.map((row) => recordOf(row, now))
      }),
    list: async (o) =>
      store.read((db) => {
        const now = Date.now()
        const { where, values } = conditionOf(o, now)
        const rows = db.all(sql().page(where), ...values, before(o.cursor), o.limit)
        return { jobs: rows.map((row) => recordOf(row, now)), ...cursorOf(rows, o.limit) }
      }),
    count: async (o) =>
      store.read((db) => {
        const { where, values } = conditionOf(o, Date.now())
        return Number(db.get(sql().count(where), ...values)?.['n'])
      }),
    async move(o) {
      // Found without the lock, which a filter that fits little would hold for long; each move checks its job's state again.
      const rows = store.read((db) => {
        const { where, values } = conditionOf(o, Date.now())
        return db.all(sql().page(where), ...values, before(o.cursor), o.limit)
      })
      const outcome = await store.commits.write((db) => {
        const now = Date.now()
        const moved = rows.map((row) => moveOne(db, row, o.to, now)).filter((one) => one !== undefined)
        return { moved, ...cursorOf(rows, o.limit) }
      }, rows.length)
      if (outcome.moved.length > 0) {
        if (o.to === 'ready') store.notify('work')
        else store.notify('done')
      }
      return outcome
    },
    prune: ({ limit }) => {
      if (!store.read((db) => db.get(sql().prunable, Date.now()))) return Promise.resolve(0)
      return store.commits.write((db) => db.run(sql().prune, Date.now(), limit))
    },
    logs: async (o) => store.read((db) => logs().list(db, o)),
  }
}

function statementsOf(t: Tables) {
  const page = (where: string) => `SELECT * FROM ${t.jobs} WHERE ${where} AND seq < ? ORDER BY seq DESC LIMIT ?`
  const count = (where: string) => `SELECT count(*) AS n FROM ${t.jobs} WHERE ${where}`
  const finishedById = `SELECT * FROM ${t.jobs} WHERE id IN (SELECT value FROM json_each(?)) AND state IN ('completed', 'dead', 'cancelled')`
  const byId = `SELECT * FROM ${t.jobs} WHERE id IN (SELECT value FROM json_each(?))`
  const holder = `SELECT id FROM ${t.jobs} WHERE name = ? AND unique_key = ? AND holds_key = 1`
  const free = `UPDATE ${t.jobs} SET holds_key = 0 WHERE name = ? AND unique_key = ? AND holds_key = 1 AND state = 'completed' AND coalesce(unique_until_at, 0) <= ?`
  // A job that died of its time gets that time anew.
  const revive = `
    UPDATE ${t.jobs} SET state = 'ready', due_at = ?, attempts = 0, crashes = 0, suspect = (reason = 'crashed'),
      reason = NULL, blocked = NULL, blocked_since = NULL, finished_at = NULL, prune_at = NULL,
      expires_at = ? + expires_in, holds_key = unique_key IS NOT NULL
    WHERE seq = ? AND state = 'dead'`
  const runNow = `UPDATE ${t.jobs} SET state = 'ready', due_at = ?, blocked = NULL WHERE seq = ? AND state = 'scheduled'`
  const cancelWaiting = `
    UPDATE ${t.jobs} SET state = 'cancelled', finished_at = ?, prune_at = ? + keep_completed, holds_key = 0, blocked = NULL
    WHERE seq = ? AND state IN ('ready', 'scheduled')`
  const cancelActive = `UPDATE ${t.jobs} SET cancelling = 1 WHERE seq = ? AND state = 'active' AND cancelling = 0`
  const remove = `DELETE FROM ${t.jobs} WHERE seq = ? AND state <> 'active'`
  const prune = `DELETE FROM ${t.jobs} WHERE seq IN (SELECT seq FROM ${t.jobs} WHERE prune_at <= ? LIMIT ?)`
  const prunable = `SELECT 1 FROM ${t.jobs} WHERE prune_at <= ? LIMIT 1`
  return {
    page,
    count,
    byId,
    finishedById,
    holder,
    free,
    revive,
    runNow,
    cancelWaiting,
    cancelActive,
    remove,
    prune,
    prunable,
  }
}
