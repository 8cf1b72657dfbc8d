// The log of events in SQLite when there are many: neither looking nor replay takes time by all that nobody asked for.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { useFolder } from '../support/folder.js'

const folder = useFolder()
const EVENTS = 60_000

it('finds a few among many, and replays them, without going through the rest again for each', async () => {
  const file = join(folder(), 'jobs.db')
  const client = await connect(sqlite({ file }))
  const db = new (defaultEngine())(file)
  const now = Date.now()
  db.exec(`
    INSERT INTO millrace_events (id, name, body, headers, published_at, keep_completed, keep_dead, prune_at)
    WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${EVENTS})
    SELECT 'e' || i, iif(i % 10000 = 0, 'rare.one', 'order.paid'),
      '{"specversion":"1.0","id":"e' || i || '","source":"millrace","type":"x","time":"2026-01-31T12:00:00Z"}', '{}',
      ${now} - ${EVENTS} + i, 1000, 1000, ${now} + 1000000
    FROM c`)
  db.exec(`INSERT INTO millrace_subscriptions VALUES ('s', 'on:s', '["#"]', 1)`)
  db.close()
  const began = performance.now()
  expect(await client.events.log({ pattern: 'none.#', limit: 1 })).toEqual([])
  const found = await client.events.log({ pattern: 'rare.#', since: new Date(now - 25_000), limit: 1000 })
  expect(found.map(({ id }) => id)).toEqual(['e40000', 'e50000', 'e60000'])
  expect(await client.events.replay('s', { since: new Date(0), pattern: 'rare.*' })).toBe(6)
  expect(await client.events.replay('s', { since: new Date(now - 500), before: new Date(now - 100) })).toBe(400)
  expect(performance.now() - began).toBeLessThan(5_000)
  await client.close()
})
