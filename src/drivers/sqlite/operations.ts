// Every operation on the database by its name: plain data in, plain data out, so that it can run in a thread. Reads run
// outside a transaction, writes inside one that they share with their neighbours.
import type { Db } from './engine.js'
import { brokerReads, brokerWrites } from './broker-sql.js'
import { createPublishEvents, eventReads, eventWrites } from './events-sql.js'
import type { Hooks, OperationSettings } from './hooks.js'
import { inspectReads } from './inspect.js'
import { jobReads, jobWrites } from './jobs-sql.js'
import { leavingReads, leavingWrites } from './leaving-sql.js'
import { createKeep, logReads } from './logs.js'
import type { Tables } from './migrations.js'
import { ledgerReads, ledgerWrites } from './ledger-sql.js'
import { createPublish } from './publish.js'
import { createSettle } from './settle.js'
import { stateReads, stateWrites } from './state-sql.js'
import { workerReads, workerWrites } from './workers-sql.js'

export function createReads(t: Tables) {
  return {
    ...brokerReads(t),
    ...jobReads(t),
    ...leavingReads(t),
    ...logReads(t),
    ...stateReads(t),
    ...workerReads(t),
    ...eventReads(t),
    ...inspectReads(t),
    ...ledgerReads(t),
  }
}

export function createWrites(t: Tables, settings: OperationSettings, hooks: Hooks) {
  const settle = createSettle(t, settings, (message, job) => hooks.log('warn', `The job is dead: ${message}`, { job }))
  const publish = createPublish(t, hooks)
  return {
    publish,
    ...brokerWrites(t, { settle, publish, keep: createKeep(t, settle), settings, hooks }),
    ...jobWrites(t, hooks),
    ...leavingWrites(t, hooks),
    ...stateWrites(t, publish),
    ...eventWrites(t, { publish, publishEvents: createPublishEvents(t, publish) }),
    ...workerWrites(t, settle, settings, hooks),
    ...ledgerWrites(t, { settings, publish, hooks }),
  }
}

export type Reads = ReturnType<typeof createReads>
export type Writes = ReturnType<typeof createWrites>
export type ReadVerb = keyof Reads
export type WriteVerb = keyof Writes
export type ArgsOf<F> = F extends (db: Db, args: infer A) => unknown ? A : never
export type ValueOf<F> = F extends (db: Db, args: never) => infer V ? V : never
