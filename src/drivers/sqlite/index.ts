// The sqlite driver: broker and store in one file, shared by any number of processes on one machine.
import type { StatefulDriver, Traits } from '../../driver/driver.js'
import { createBroker } from './broker.js'
import { canonicalPath, type SqliteHandle } from './engine.js'
import { inspect } from './inspect.js'
import { createJobs } from './jobs.js'
import { settingsOf, type SqliteOptions } from './options.js'
import { createState } from './state.js'
import { createStore } from './store.js'
import { createWorkers } from './workers.js'

export type { SqliteConstructor, SqliteHandle } from './engine.js'
export type { SqliteOptions } from './options.js'
export { optionsFromUrl } from './options.js'

/**
 * A driver on one SQLite file. With it, `enqueue` takes `{ tx }`: an open database handle of the same library, on the same
 * file, so that a job is kept exactly when your own transaction commits.
 * @throws ConfigurationError for an option that is not allowed. The file is opened by `client.connect()` or at first use.
 */
export function sqlite(options: SqliteOptions): StatefulDriver<SqliteHandle> {
  const settings = settingsOf(options)
  const store = createStore(settings)
  const tables = store.statements((t) => t)
  const traits: Traits = {
    durable: true,
    shared: true,
    delay: true,
    priorities: 10,
    unique: true,
    transactions: 'sync',
    lease: settings.lease,
  }
  return {
    name: 'sqlite',
    traits,
    broker: createBroker(store),
    jobs: createJobs(store),
    workers: createWorkers(store),
    state: createState(store),
    signals: store.signals,
    connect: store.connect,
    setup: store.setup,
    ping: async () => void store.read((db) => db.get('SELECT 1 AS yes')),
    inspect: async ({ deep = false } = {}) =>
      store.read((db) => inspect(db, { path: canonicalPath(settings.file), tables: tables(), deep })),
    close: store.close,
  }
}
