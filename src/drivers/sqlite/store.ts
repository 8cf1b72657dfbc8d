// What the ports of one sqlite driver share: the connection, its writer, and who holds which delivery.
import { ClientClosedError, ConfigurationError, messageOf } from '../../core/errors.js'
import type { ConnectOptions, LostReason } from '../../driver/driver.js'
import { describeLookError, type PolledDelivery } from '../../driver/polling.js'
import { createCommits, isBusy, lockedTooLong, translate, type Commits } from './commits.js'
import { openFile, sameDatabase } from './connection.js'
import { canonicalPath, dbOf, defaultEngine, type Db, type SqliteHandle } from './engine.js'
import { createLogs, type Logs } from './logs.js'
import { migrate, schemaVersion, checkVersion, SCHEMA_VERSION, tablesOf, type Tables } from './migrations.js'
import { createNotes, type Note, type Notes } from './notes.js'
import type { SqliteSettings } from './options.js'
import { createPublish, type Publish } from './publish.js'
import { createSettle, type Settle } from './settle.js'
import { createFileSignals, type FileSignals } from './signals.js'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Hands {
  add(worker: string, delivery: PolledDelivery<SqliteHandle>): void
  remove(worker: string, delivery: PolledDelivery<SqliteHandle>): void
  /** Tell the deliveries of a worker that they are lost; all of them, or those with these job ids. */
  lose(worker: string, why: LostReason, ids?: readonly string[]): void
}

export interface Store {
  readonly settings: SqliteSettings
  /** Statements over the tables of the namespace, which is known once connected; built once. */
  statements<S>(build: (t: Tables) => S): () => S
  readonly commits: Commits
  readonly publish: Publish
  readonly settle: Settle
  /** Write what a run said; must run inside a transaction. */
  keep(db: Db, note: Note): void
  readonly signals: FileSignals
  readonly hands: Hands
  readonly notes: Notes
  db(): Db
  /** Read outside a transaction, with our errors. */
  read<T>(query: (db: Db) => T): T
  /** Run on the caller's own handle, now. */
  inTransaction<T>(handle: SqliteHandle, operation: (db: Db) => T): T
  notify(topic: 'work' | 'done'): void
  readonly log: ConnectOptions['log']
  logLookError(error: unknown, queue: string): void
  connect(o: ConnectOptions): Promise<void>
  setup(): Promise<void>
  close(): Promise<void>
}

export function createStore(settings: SqliteSettings): Store {
  let db: Db | undefined
  let options: ConnectOptions | undefined
  let tables: Tables = tablesOf(undefined)
  let publish = createPublish(tables)
  let settle = createSettle(tables, settings.maxCrashes)
  let logs: Logs = createLogs(tables)
  let closed = false
  let path = settings.file
  const engine = () => settings.engine ?? defaultEngine()
  const needDb = () => {
    if (closed) throw new ClientClosedError()
    if (!db)
      throw new ConfigurationError(
        'The sqlite driver is not connected yet: `await client.connect()` before a call with { tx }.',
      )
    return db
  }
  const hands = createHands()
  const commits = createCommits({ db: needDb, file: settings.file, timeout: () => options?.publishTimeout ?? 10_000 })
  const store: Store = {
    settings,
    statements<S>(build: (t: Tables) => S) {
      let built: S | undefined
      return () => (built ??= build(tables))
    },
    get publish() {
      return publish
    },
    get settle() {
      return settle
    },
    commits,
    hands,
    signals: createFileSignals(() => path),
    notes: createNotes((notes) =>
      commits.write((writer) => notes.forEach((note) => store.keep(writer, note)), notes.length),
    ),
    keep(writer, { id, run, log, ...o }) {
      if (o.progress !== undefined || o.note !== undefined) settle.note(writer, id, run, o)
      if (log !== undefined) logs.add(writer, id, run, log)
    },
    db: needDb,
    read(query) {
      try {
        return query(needDb())
      } catch (error) {
        throw translate(error, settings.file)
      }
    },
    inTransaction(handle, operation) {
      needDb()
      const caller = sameDatabase(handle, { engine: engine(), path, file: settings.file })
      try {
        return savepoint(caller, operation)
      } catch (error) {
        throw isBusy(error) ? lockedTooLong(settings.file, 0, error) : translate(error, settings.file)
      }
    },
    notify: (topic) => store.signals.emit(topic),
    log: (level, message, fields) => options?.log(level, message, fields),
    logLookError: (error, queue) => options?.log('warn', describeLookError(error), { queue }),
    async connect(o) {
      if (options)
        throw new ConfigurationError(
          'This sqlite() driver belongs to another client already. Make one for each client.',
        )
      options = o
      tables = tablesOf(o.namespace)
      publish = createPublish(tables)
      settle = createSettle(tables, settings.maxCrashes)
      logs = createLogs(tables)
      path = canonicalPath(settings.file)
      let opened: Db | undefined
      try {
        opened = await untilUnlocked(() => openFile(settings, path, engine(), o.migrate))
        if (o.migrate) await setupOn(opened)
        else checkVersion(schemaVersion(opened, tables), settings.file)
      } catch (error) {
        opened?.close()
        options = undefined // a dial that failed may be tried again
        throw error
      }
      db = opened
    },
    setup: () => setupOn(needDb()),
    async close() {
      if (closed) return
      await store.notes
        .flush()
        .catch((error: unknown) => options?.log('warn', `Progress was not kept: ${messageOf(error)}`))
      await commits.close()
      store.signals.close()
      closed = true
      db?.close()
      db = undefined
    },
  }

  async function setupOn(opened: Db): Promise<void> {
    const current = (): boolean => schemaVersion(opened, tables) === SCHEMA_VERSION
    if (await untilUnlocked(current)) return
    await untilUnlocked(() => {
      opened.exec('BEGIN IMMEDIATE')
      try {
        migrate(opened, tables, settings.file)
        opened.exec('COMMIT')
      } catch (error) {
        opened.exec('ROLLBACK')
        throw error
      }
    })
  }

  /** Try again while another program holds the lock, without blocking the event loop. */
  async function untilUnlocked<T>(attempt: () => T): Promise<T> {
    const ms = options?.publishTimeout ?? 10_000
    const deadline = performance.now() + ms
    for (;;) {
      try {
        return attempt()
      } catch (error) {
        if (!isBusy(error)) throw translate(error, settings.file)
        if (performance.now() > deadline) throw lockedTooLong(settings.file, ms, error)
      }
      await sleep(5 + Math.random() * 20)
    }
  }

  return store
}

// A savepoint works inside the caller's transaction and outside of one, and undoes all of a half-done operation.
function savepoint<T>(handle: SqliteHandle, operation: (db: Db) => T): T {
  const db = dbOf(handle)
  db.exec('SAVEPOINT millrace')
  try {
    const result = operation(db)
    db.exec('RELEASE millrace')
    return result
  } catch (error) {
    db.exec('ROLLBACK TO millrace')
    db.exec('RELEASE millrace')
    throw error
  }
}

function createHands(): Hands {
  const byWorker = new Map<string, Set<PolledDelivery<SqliteHandle>>>()
  return {
    add(worker, delivery) {
      const held = byWorker.get(worker) ?? new Set()
      byWorker.set(worker, held.add(delivery))
    },
    remove(worker, delivery) {
      const held = byWorker.get(worker)
      held?.delete(delivery)
      if (held?.size === 0) byWorker.delete(worker)
    },
    lose(worker, why, ids) {
      for (const delivery of byWorker.get(worker) ?? [])
        if (ids === undefined || ids.includes(delivery.envelope.id)) delivery.lose(why)
    },
  }
}
