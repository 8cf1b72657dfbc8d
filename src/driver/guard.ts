// Wraps every driver, so that drivers stay naive: refuses what the traits deny and what comes after close, settles each
// delivery once, and is the one place where a span can be put around a call.
import { AlreadySettledError, ClientClosedError, UnsupportedError, hasCode } from '../core/errors.js'
import type { Envelope } from '../core/envelope.js'
import { DEFAULT_PRIORITY } from '../core/job.js'
import type { Broker, Consumer, Delivery, Driver, Note, State, StatefulDriver, Traits } from './driver.js'
import type { Ledger } from './ledger.js'
import type { Events } from './events.js'
import { DeliveryAround } from './wrap.js'

/** Runs `call` and may measure it. The default runs it. */
export type Span = <T>(
  name: 'publish' | 'ack' | 'retry' | 'dead' | 'release',
  attributes: Readonly<Record<string, string | number>>,
  call: () => Promise<T>,
) => Promise<T>

const plainSpan: Span = (_name, _attributes, call) => call()

/** What `call` throws is a rejection. */
function rejecting<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call()
  } catch (error) {
    return Promise.reject(error as Error)
  }
}

/** @throws UnsupportedError (later, at the call) for whatever the driver's traits deny. */
export function guard<Tx>(driver: StatefulDriver<Tx>, span?: Span): StatefulDriver<Tx>
export function guard<Tx>(driver: Driver<Tx>, span?: Span): Driver<Tx>
export function guard<Tx>(driver: Driver<Tx>, span: Span = plainSpan): Driver<Tx> {
  let closing: Promise<void> | undefined
  let connecting: Promise<void> | undefined
  const open = () => {
    if (closing) throw new ClientClosedError()
  }
  return {
    name: driver.name,
    traits: driver.traits,
    broker: guardBroker(driver, span, open),
    ...(driver.jobs && { jobs: refuseAfterClose(driver.jobs, open) }),
    ...(driver.workers && { workers: refuseAfterClose(driver.workers, open) }),
    ...(driver.state && { state: guardState(driver, driver.state, open) }),
    ...(driver.events && { events: guardEvents(driver, driver.events, span, open) }),
    ...(driver.eventLog && { eventLog: refuseAfterClose(driver.eventLog, open) }),
    ...(driver.signals && { signals: driver.signals }),
    ...(driver.ledger && { ledger: guardLedger(driver, driver.ledger, open) }),
    ...(driver.leaving && { leaving: refuseAfterClose(driver.leaving, open) }),
    ...(driver.delayed && { delayed: refuseAfterClose(driver.delayed, open) }),
    ...(driver.deadLetters && { deadLetters: refuseAfterClose(driver.deadLetters, open) }),
    ...(driver.replies && { replies: refuseAfterClose(driver.replies, open) }),
    async connect(o) {
      open()
      // A failed dial is not remembered: the next call tries again.
      connecting ??= driver.connect(o).catch((error: unknown) => {
        connecting = undefined
        throw error
      })
      await connecting
    },
    async setup() {
      open()
      await driver.setup()
    },
    async ping() {
      open()
      await driver.ping()
    },
    ...(driver.inspect && {
      async inspect(o) {
        open()
        return driver.inspect!(o)
      },
    }),
    close: () => (closing ??= driver.close()),
  }
}

function guardBroker<Tx>(driver: Driver<Tx>, span: Span, open: () => void): Broker<Tx> {
  const { broker, traits } = driver
  return {
    ...refuseAfterClose(broker, open),
    // With `tx` everything is synchronous up to the driver's own publish, errors too: they must leave the caller's
    // synchronous transaction as exceptions, or it would commit without the job.
    publish(o) {
      const publish = () => {
        open()
        for (const envelope of o.envelopes) checkEnvelope(envelope, driver.name, traits)
        if (o.tx !== undefined) checkTx(driver.name, traits)
        return span('publish', { count: o.envelopes.length }, () => broker.publish(o))
      }
      return o.tx === undefined ? rejecting(publish) : publish()
    },
    async consume(o): Promise<Consumer> {
      open()
      return broker.consume({
        ...o,
        onDelivery: (delivery) => o.onDelivery(new GuardedDelivery(delivery, driver, span)),
      })
    },
  }
}

function guardState(driver: Driver<any>, state: State, open: () => void): State {
  return {
    ...refuseAfterClose(state, open),
    async set(o) {
      open()
      for (const envelope of o.publish ?? []) checkEnvelope(envelope, driver.name, driver.traits)
      return state.set(o)
    },
  }
}

function guardEvents<Tx>(driver: Driver<Tx>, events: Events<Tx>, span: Span, open: () => void): Events<Tx> {
  return {
    ...refuseAfterClose(events, open),
    // As above: with `tx` all of it happens at once, errors too.
    publish(o) {
      const publish = () => {
        open()
        if (o.tx !== undefined) checkTx(driver.name, driver.traits)
        return span('publish', { count: o.events.length }, () => events.publish(o))
      }
      return o.tx === undefined ? rejecting(publish) : publish()
    },
  }
}

function guardLedger<Tx>(driver: Driver<Tx>, ledger: Ledger<Tx>, open: () => void): Ledger<Tx> {
  return {
    ...refuseAfterClose(ledger, open),
    // As above: with `tx` all of it happens at once, errors too.
    add(o) {
      const add = () => {
        open()
        for (const envelope of o.envelopes) checkEnvelope(envelope, driver.name, driver.traits)
        if (o.tx !== undefined) checkTx(driver.name, driver.traits)
        return ledger.add(o)
      }
      return o.tx === undefined ? Promise.resolve().then(add) : add()
    },
  }
}

/** A class for once: there are as many of these as there are jobs, and methods of a class are made only once. */
class GuardedDelivery<Tx> extends DeliveryAround<Tx> implements Delivery<Tx> {
  private readonly driver: Driver<Tx>
  private readonly span: Span
  private settling = false

  constructor(own: Delivery<Tx>, driver: Driver<Tx>, span: Span) {
    super(own)
    this.driver = driver
    this.span = span
  }

  override note(o: Note): void {
    if (!this.settling) this.inner.note(o)
  }
  ack(o?: Parameters<Delivery<Tx>['ack']>[0]): Promise<void> {
    return this.once('ack', () => {
      const { name, traits } = this.driver
      if (o?.tx !== undefined) checkTx(name, traits)
      for (const envelope of o?.publish ?? []) checkEnvelope(envelope, name, traits)
      return this.inner.ack(o)
    })
  }
  retry(o: Parameters<Delivery<Tx>['retry']>[0]): Promise<void> {
    return this.once('retry', () => this.inner.retry(o))
  }
  dead(o: Parameters<Delivery<Tx>['dead']>[0]): Promise<void> {
    return this.once('dead', () => this.inner.dead(o))
  }
  release(o?: Parameters<Delivery<Tx>['release']>[0]): Promise<void> {
    return this.once('release', () => this.inner.release(o))
  }

  private once(verb: 'ack' | 'retry' | 'dead' | 'release', call: () => Promise<void>): Promise<void> {
    const { id, queue, name } = this.envelope
    if (this.settling) return Promise.reject(new AlreadySettledError(id, this.run))
    this.settling = true
    const settled =
      this.span === plainSpan ? attempted(call) : this.span(verb, { id, queue, name, run: this.run }, call)
    return settled.catch((error: unknown) => {
      // Nothing is settled, so the same or another verb may be tried; a lost lease stays lost.
      if (!hasCode(error, 'ERR_LEASE_LOST')) this.settling = false
      throw error
    })
  }
}

/** What the call throws at once, as a promise as well. */
function attempted(call: () => Promise<void>): Promise<void> {
  try {
    return call()
  } catch (error) {
    return Promise.reject(error as Error)
  }
}

function checkEnvelope(envelope: Envelope, name: string, traits: Traits): void {
  if (envelope.notBefore !== undefined && !traits.delay) throw denied(name, 'delay jobs')
  if (envelope.priority !== DEFAULT_PRIORITY && traits.priorities === 0) throw denied(name, 'tell priorities apart')
  if (envelope.unique !== undefined && !traits.unique) throw denied(name, 'keep jobs unique')
}

function checkTx(name: string, traits: Traits): void {
  if (traits.transactions === 'none') throw denied(name, 'join a transaction ({ tx })')
}

function denied(name: string, what: string): UnsupportedError {
  return new UnsupportedError(`The ${name} driver cannot ${what}. Choose another driver, or add a store.`)
}

/** Each method of a port, refusing after close. */
function refuseAfterClose<P extends object>(port: P, open: () => void): P {
  const guarded: Record<string, unknown> = {}
  for (const key of Object.keys(port)) {
    const value = (port as Record<string, unknown>)[key]
    guarded[key] =
      typeof value === 'function'
        ? async (...args: unknown[]) => {
            open()
            return (value as (...args: unknown[]) => unknown).apply(port, args)
          }
        : value
  }
  return guarded as P
}
