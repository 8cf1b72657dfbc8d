// Small shared facts under compare-and-set. One counter gives every version, so versions grow across deletes too.
import type { Entry, State } from '../../driver/driver.js'
import type { Row } from './engine.js'
import type { Tables } from './migrations.js'
import type { Store } from './store.js'

export function createState(store: Store): State {
  const sql = store.statements(statementsOf)
  const entryOf = (row: Row): Entry => ({
    key: String(row['key']),
    value: String(row['value']),
    version: Number(row['version']),
  })

  return {
    get: async ({ key }) =>
      store.read((db) => {
        const row = db.get(sql().get, key, Date.now())
        return row && entryOf(row)
      }),
    set: ({ key, value, ttl, expect }) =>
      store.commits.write((db) => {
        const now = Date.now()
        const current = db.get(sql().get, key, now)
        if (expect === 'absent' ? current !== undefined : expect !== undefined && current?.['version'] !== expect)
          return undefined
        db.run(sql().dropExpired, now)
        const version = Number(db.get(sql().next)!['value'])
        db.run(sql().put, key, value, version, ttl === undefined ? null : now + ttl)
        return version
      }),
    delete: ({ key, expect }) =>
      store.commits.write((db) => {
        const current = db.get(sql().get, key, Date.now())
        if (!current || (expect !== undefined && current['version'] !== expect)) return false
        return db.run(sql().drop, key) === 1
      }),
    list: async ({ prefix }) =>
      store.read((db) => db.all(sql().list, prefix, `${prefix}\u{10ffff}`, Date.now()).map(entryOf)),
  }
}

function statementsOf(t: Tables) {
  const alive = `(expires_at IS NULL OR expires_at > ?)`
  const get = `SELECT key, value, version FROM ${t.state} WHERE key = ? AND ${alive}`
  const list = `SELECT key, value, version FROM ${t.state} WHERE key >= ? AND key < ? AND ${alive} ORDER BY key`
  const next = `UPDATE ${t.meta} SET value = value + 1 WHERE key = 'version' RETURNING value`
  const put = `INSERT INTO ${t.state} (key, value, version, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at`
  const drop = `DELETE FROM ${t.state} WHERE key = ?`
  const dropExpired = `DELETE FROM ${t.state} WHERE expires_at <= ?`
  return { get, list, next, put, drop, dropExpired }
}
