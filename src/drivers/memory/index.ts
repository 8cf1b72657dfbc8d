// The memory driver: the shortest correct one. For reading, for tests, and to prove the conformance suite. It keeps nothing.
import { toMs, type Duration } from '../../core/duration.js'
import { ConfigurationError } from '../../core/errors.js'
import { refuseUnknown } from '../../core/task.js'
import { HANDING_PATIENCE } from '../../driver/ledger.js'
import type { StatefulDriver, Traits } from '../../driver/driver.js'
import { createBroker } from './broker.js'
import { createEventLog, createEvents } from './events.js'
import { createLedger } from './ledger.js'
import { createJobs } from './jobs.js'
import { createLeaving } from './leaving.js'
import { createState } from './state.js'
import { createTable, type Table } from './table.js'
import { createWorkers } from './workers.js'

export interface MemoryOptions {
  /** Drivers of one name in one process share their jobs; default: a store of its own. */
  name?: string
  /** How long a worker may be silent before its jobs go to others; default 15 s. */
  lease?: Duration
  /** After how many crashes a job is dead; default 3. */
  maxCrashes?: number
  /**
   * Where its time comes from, in epoch milliseconds. When a clock jumps, the next look comes with the next job, or within
   * a second.
   * @internal
   */
  now?: () => number
  /**
   * For how long a job that was given to somebody to be handed to a broker is left alone.
   * @internal
   */
  handingPatience?: number
}

const shared = new Map<string, Table>()

/** A driver whose jobs live in this process and end with it. */
export function memory(options: MemoryOptions = {}): StatefulDriver {
  refuseUnknown('memory()', options, ['name', 'lease', 'maxCrashes', 'now', 'handingPatience'])
  const lease = toMs(options.lease ?? '15s', 'lease')
  const traits: Traits = {
    durable: false,
    shared: false,
    delay: true,
    priorities: 10,
    unique: true,
    transactions: 'none',
    lease,
    remembers: true,
  }
  let table: Table = createTable(options.maxCrashes ?? 3, options.now ?? (() => Date.now()))
  let connected = false
  const own = () => table
  return {
    name: 'memory',
    traits,
    broker: createBroker(own),
    jobs: createJobs(own),
    workers: createWorkers(own, lease),
    state: createState(own),
    leaving: createLeaving(own),
    events: createEvents(own),
    eventLog: createEventLog(own),
    ledger: createLedger(own, options.handingPatience ?? HANDING_PATIENCE),
    signals: { on: (topic, listener) => own().on(topic, listener) },
    async connect({ namespace = '', ledger = false }) {
      if (connected)
        throw new ConfigurationError(
          'This memory() driver belongs to another client already. Make one for each client.',
        )
      connected = true
      if (options.name !== undefined) {
        const key = `${options.name}/${namespace}`
        table = shared.get(key) ?? table
        shared.set(key, table)
      }
      table.ledger ||= ledger
    },
    async setup() {},
    async ping() {},
    async close() {},
  }
}

/** `memory:` is a store of its own; `memory:name` is shared in this process. */
export function memoryFromUrl(url: string): StatefulDriver {
  const name = url.slice('memory:'.length)
  if (!/^[A-Za-z0-9._-]*$/.test(name))
    throw new ConfigurationError(
      `"${url}" is not allowed. Write memory: or memory:name, the name of letters, digits and . _ -.`,
    )
  return memory(name === '' ? {} : { name })
}
