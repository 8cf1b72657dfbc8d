// What the ports of one sqlite driver share on the main thread: the link, who holds which delivery, and the caller's own
// transactions.
import { ClientClosedError, ConfigurationError, messageOf } from '../../core/errors.js'
import type { Envelope } from '../../core/envelope.js'
import type { ConnectOptions, LostReason, Receipt } from '../../driver/driver.js'
import type { BackOptions } from './back.js'
import type { EventEnvelope } from '../../driver/events.js'
import { inCallersTransaction } from './caller.js'
import { inlineCarrier, threadCarrier } from './carrier.js'
import type { Holder, SqliteDelivery } from './delivery.js'
import { canonicalPath, claimFile, defaultEngine, libraryOf, type SqliteHandle } from './engine.js'
import { createPublishEvents } from './events-sql.js'
import { createLink, type Link } from './link.js'
import { createKeep } from './logs.js'
import { tablesOf } from './migrations.js'
import { createNotes } from './notes.js'
import type { SqliteSettings } from './options.js'
import { packEnvelopes } from './packing.js'
import { createPublish, type Duplicate } from './publish.js'
import { createSettle } from './settle.js'

export interface Front extends Pick<Holder, 'ackInTransaction' | 'note' | 'said'> {
  readonly link: Link
  /** The caller looks after these deliveries of a worker, and can be told that they are lost. */
  holds(worker: string, deliveries: ReadonlySet<SqliteDelivery>): { end(): void }
  /** Tell the deliveries of a worker that they are lost; all of them, or those with these job ids. */
  lose(worker: string, why: LostReason, ids?: readonly string[]): void
  publishInTransaction(tx: SqliteHandle, envelopes: readonly Envelope[]): Receipt[]
  /** Answers the places of those that are no new events. */
  publishEventsInTransaction(tx: SqliteHandle, events: readonly EventEnvelope[]): readonly number[]
  connect(o: ConnectOptions): Promise<void>
  close(): Promise<void>
}

export function createFront(settings: SqliteSettings): Front {
  let link: Link | undefined
  let own: ReturnType<typeof ownOperations> | undefined
  let connected = false
  let closed = false
  let log: ConnectOptions['log'] = () => {}
  const held = new Map<string, Set<ReadonlySet<SqliteDelivery>>>()
  const need = (): Link => {
    if (closed) throw new ClientClosedError()
    if (!link) throw notConnected()
    return link
  }
  const notes = createNotes((waiting) => need().write('notes', waiting, waiting.length))

  return {
    get link() {
      return need()
    },
    holds(worker, deliveries) {
      const all = held.get(worker) ?? new Set()
      held.set(worker, all.add(deliveries))
      return {
        end() {
          all.delete(deliveries)
          if (all.size === 0) held.delete(worker)
        },
      }
    },
    lose(worker, why, ids) {
      for (const deliveries of held.get(worker) ?? [])
        for (const delivery of deliveries)
          // those that it loses leave the set meanwhile, which a Set allows
          if (ids === undefined || ids.includes(delivery.envelope.id)) delivery.lose(why)
    },
    publishInTransaction(tx, envelopes) {
      need()
      return receiptsOf(
        envelopes,
        inCallersTransaction(tx, own!, (db) => own!.publish(db, packEnvelopes(envelopes))),
      )
    },
    publishEventsInTransaction(tx, events) {
      need()
      return inCallersTransaction(tx, own!, (db) => own!.publishEvents(db, events))
    },
    ackInTransaction(tx, { seq, run, envelope: { id } }, result, publish) {
      need()
      const said = notes.take(id, run)
      try {
        return inCallersTransaction(tx, own!, (db) => {
          if (said) own!.keep(db, { seq, id, run }, said)
          const owned = own!.settle.ack(db, { seq, id, run }, result, Date.now())
          if (owned && publish.length > 0) own!.publish(db, packEnvelopes(publish))
          return owned
        })
      } catch (error) {
        if (said) notes.add({ seq, id, run }, said)
        throw error
      }
    },
    note: ({ seq, run, envelope: { id } }, o) => notes.add({ seq, id, run }, o),
    said: ({ run, envelope: { id } }) => notes.take(id, run),
    async connect(o) {
      if (connected)
        throw new ConfigurationError(
          'This sqlite() driver belongs to another client already. Make one for each client.',
        )
      connected = true
      log = o.log
      const path = canonicalPath(settings.file)
      const engine = settings.engine ?? defaultEngine()
      claimFile(path, engine)
      const options: BackOptions = {
        file: settings.file,
        path,
        namespace: o.namespace,
        create: settings.create,
        migrate: o.migrate,
        durability: settings.durability,
        lease: settings.lease,
        pollEvery: settings.pollEvery,
        maxCrashes: settings.maxCrashes,
        publishTimeout: o.publishTimeout,
        ledger: o.ledger ?? false,
        handingPatience: settings.handingPatience,
      }
      const library = settings.thread ? libraryOf(engine) : undefined
      const opening = createLink(
        library === undefined ? inlineCarrier(options, engine) : threadCarrier({ library, options }),
        o.log,
      )
      try {
        await opening.control('open', null)
      } catch (error) {
        await opening.close().catch(() => {})
        connected = false // a dial that failed may be tried again
        throw error
      }
      own = ownOperations(settings, o.namespace, path, engine)
      link = opening
    },
    async close() {
      if (closed) return
      if (link) {
        await notes.flush().catch((error: unknown) => log('warn', `Progress was not kept: ${messageOf(error)}`))
        await link.close()
      }
      closed = true
    },
  }
}

/** The receipts of a publish that says which envelopes are no new jobs. */
export function receiptsOf(envelopes: readonly Envelope[], duplicates: readonly Duplicate[]): Receipt[] {
  const receipts = envelopes.map(({ id }): Receipt => ({ id, duplicate: false }))
  for (const [place, id] of duplicates) receipts[place] = { id, duplicate: true }
  return receipts
}

/** What runs in the caller's own transaction, on the main thread. */
function ownOperations(
  settings: SqliteSettings,
  namespace: string | undefined,
  path: string,
  engine: NonNullable<SqliteSettings['engine']>,
) {
  const t = tablesOf(namespace)
  const settle = createSettle(t, settings)
  // Nobody is told before the caller commits; the change of the file tells everybody then.
  const publish = createPublish(t, { ready: () => {} })
  return {
    engine,
    path,
    file: settings.file,
    publish,
    publishEvents: createPublishEvents(t, publish),
    settle,
    keep: createKeep(t, settle),
  }
}

const notConnected = () =>
  new ConfigurationError('The sqlite driver is not connected yet: `await client.connect()` before a call with { tx }.')
