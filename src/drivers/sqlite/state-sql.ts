// Small shared facts under compare-and-set. One counter gives every version, so versions grow across deletes too.
import type { Entry } from '../../driver/driver.js'
import type { Db, Row } from './engine.js'
import type { Tables } from './migrations.js'
import type { Packed } from './packing.js'
import type { Publish } from './publish.js'

/** An entry to be written, and the jobs that come with it. */
export interface StateEntry {
  readonly key: string
  readonly value: string
  readonly ttl?: number
  readonly expect?: number | 'absent'
  readonly publish?: Packed
}

const entryOf = (row: Row): Entry => ({
  key: String(row['key']),
  value: String(row['value']),
  version: Number(row['version']),
})

const ALIVE = `(expires_at IS NULL OR expires_at > ?)`
const getSql = (t: Tables) => `SELECT key, value, version FROM ${t.state} WHERE key = ? AND ${ALIVE}`

export function stateReads(t: Tables) {
  const get = getSql(t)
  const list = `SELECT key, value, version FROM ${t.state} WHERE key >= ? AND key < ? AND ${ALIVE} ORDER BY key`
  return {
    getState(db: Db, key: string): Entry | undefined {
      const row = db.get(get, key, Date.now())
      return row && entryOf(row)
    },
    listState: (db: Db, prefix: string) => db.all(list, prefix, `${prefix}\u{10ffff}`, Date.now()).map(entryOf),
  }
}

export function stateWrites(t: Tables, add: Publish) {
  const get = getSql(t)
  const next = `UPDATE ${t.meta} SET value = value + 1 WHERE key = 'version' RETURNING value`
  const put = `INSERT INTO ${t.state} (key, value, version, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at`
  const drop = `DELETE FROM ${t.state} WHERE key = ?`
  const dropExpired = `DELETE FROM ${t.state} WHERE expires_at <= ?`
  return {
    setState(db: Db, { key, value, ttl, expect, publish }: StateEntry): number | undefined {
      const now = Date.now()
      const current = db.get(get, key, now)
      if (expect === 'absent' ? current !== undefined : expect !== undefined && current?.['version'] !== expect)
        return undefined
      db.run(dropExpired, now)
      const version = Number(db.get(next)!['value'])
      if (publish) add(db, publish)
      db.run(put, key, value, version, ttl === undefined ? null : now + ttl)
      return version
    },
    deleteState(db: Db, { key, expect }: { key: string; expect?: number }): boolean {
      const current = db.get(get, key, Date.now())
      if (!current || (expect !== undefined && current['version'] !== expect)) return false
      return db.run(drop, key) === 1
    },
  }
}
