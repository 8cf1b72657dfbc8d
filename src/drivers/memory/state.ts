// The state port in memory.
import type { State } from '../../driver/driver.js'
import type { Table } from './table.js'

export function createState(table: () => Table): State {
  const alive = (key: string) => {
    const entry = table().state.get(key)
    if (entry?.expiresAt !== undefined && entry.expiresAt <= table().now()) table().state.delete(key)
    return table().state.get(key)
  }
  const entryOf = (key: string) => {
    const entry = alive(key)
    return entry && { key, value: entry.value, version: entry.version }
  }
  return {
    get: async ({ key }) => entryOf(key),
    async set({ key, value, ttl, expect, publish = [] }) {
      const current = alive(key)
      if (expect === 'absent' ? current !== undefined : expect !== undefined && current?.version !== expect)
        return undefined
      if (publish.length > 0) {
        table().add(publish)
        table().emit('work')
      }
      const version = ++table().version
      table().state.set(key, { value, version, expiresAt: ttl === undefined ? undefined : table().now() + ttl })
      return version
    },
    async delete({ key, expect }) {
      const current = alive(key)
      if (!current || (expect !== undefined && current.version !== expect)) return false
      return table().state.delete(key)
    },
    list: async ({ prefix }) =>
      [...table().state.keys()]
        .filter((key) => key.startsWith(prefix))
        .sort()
        .map(entryOf)
        .filter((entry) => entry !== undefined),
  }
}
