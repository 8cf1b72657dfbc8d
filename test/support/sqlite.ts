// Places for sqlite: a file in a folder of its own, with a user's own connection for transactions and outages.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { sqlite, type SqliteOptions } from '../../src/drivers/sqlite/index.js'
import type { Harness } from '../../src/testing/index.js'

/** @param options of every driver of the place, besides those that a case asks for */
export const sqliteHarnessOf = (options: Omit<SqliteOptions, 'file'>): Harness => ({
  name: 'sqlite',
  async create() {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-'))
    const file = join(folder, 'jobs.db')
    const Engine = defaultEngine()
    const opened: { close(): unknown }[] = []
    const connection = () => {
      const db = new Engine(file)
      opened.push(db)
      return db
    }
    return {
      open: (o) => sqlite({ file, ...options, ...o }),
      async destroy() {
        for (const db of opened) db.close()
        rmSync(folder, { recursive: true })
      },
      async outage() {
        const db = connection()
        db.exec('PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE')
        return { end: async () => void db.exec('ROLLBACK') }
      },
      transaction() {
        const tx = connection()
        tx.exec('BEGIN')
        return { tx, commit: () => void tx.exec('COMMIT'), rollback: () => void tx.exec('ROLLBACK') }
      },
    }
  },
})

export const sqliteHarness = sqliteHarnessOf({})
