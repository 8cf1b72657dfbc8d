// The sqlite driver: broker and store in one file, shared by any number of processes on one machine.
import type { StatefulDriver, Traits } from '../../driver/driver.js'
import { createBroker } from './broker.js'
import { canonicalPath, type SqliteHandle } from './engine.js'
import { createEventLog, createEvents } from './events.js'
import { createFront } from './front.js'
import { createLedger } from './ledger.js'
import { createJobs } from './jobs.js'
import { createLeaving } from './leaving.js'
import { settingsOf, type SqliteOptions } from './options.js'
import { createState } from './state.js'
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
  const front = createFront(settings)
  const traits: Traits = {
    durable: true,
    shared: true,
    delay: true,
    priorities: 10,
    unique: true,
    transactions: 'sync',
    lease: settings.lease,
    remembers: true,
  }
  return {
    name: 'sqlite',
    traits,
    broker: createBroker(front),
    jobs: createJobs(front),
    workers: createWorkers(front),
    state: createState(front),
    leaving: createLeaving(front),
    events: createEvents(front),
    eventLog: createEventLog(front),
    signals: { on: (topic, listener) => front.link.onSignal(topic, listener) },
    ledger: createLedger(front),
    connect: front.connect,
    setup: async () => void (await front.link.control('setup', null)),
    inspect: ({ deep = false } = {}) =>
      front.link.read('inspect', { path: canonicalPath(settings.file), durability: settings.durability, deep }),
    ping: async () => void (await front.link.control('ping', null)),
    close: front.close,
  }
}
