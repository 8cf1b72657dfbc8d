// Wraps every driver, so that drivers stay naive: refuses what the traits deny and what comes after close, settles each
// delivery once, and is the one place where a span can be put around a call.
import { AlreadySettledError, ClientClosedError, UnsupportedError, hasCode } from '../core/errors.js'
import type { Envelope } from '../core/envelope.js'
import { DEFAULT_PRIORITY } from '../core/job.js'
import type { Broker, Consumer, Delivery, Driver, StatefulDriver, Traits } from './driver.js'

/** Runs `call` and may measure it. The default runs it. */
export type Span = <T>(
  name: 'publish' | 'ack' | 'retry' | 'dead' | 'release',
  attributes: Readonly<Record<string, string | number>>,
  call: () => Promise<T>,
) => Promise<T>

const plainSpan: Span = (_name, _attributes, call) => call()

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
    ...(driver.state && { state: refuseAfterClose(driver.state, open) }),
    ...(driver.signals && { signals: driver.signals }),
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
      return o.tx === undefined ? Promise.resolve().then(publish) : publish()
    },
    async consume(o): Promise<Consumer> {
      open()
      return broker.consume({ ...o, onDelivery: (delivery) => o.onDelivery(guardDelivery(delivery, driver, span)) })
    },
  }
}

function guardDelivery<Tx>(delivery: Delivery<Tx>, driver: Driver<Tx>, span: Span): Delivery<Tx> {
  const { id, queue, name } = delivery.envelope
  const attributes = { id, queue, name, run: delivery.run }
  let settling = false
  async function once<T>(verb: 'ack' | 'retry' | 'dead' | 'release', call: () => Promise<T>): Promise<T> {
    if (settling) throw new AlreadySettledError(id, delivery.run)
    settling = true
    try {
      return await span(verb, attributes, call)
    } catch (error) {
      // Nothing is settled, so the same or another verb may be tried; a lost lease stays lost.
      if (!hasCode(error, 'ERR_LEASE_LOST')) settling = false
      throw error
    }
  }
  return {
    envelope: delivery.envelope,
    run: delivery.run,
    attempt: delivery.attempt,
    crashes: delivery.crashes,
    suspect: delivery.suspect,
    ...(delivery.blocked && { blocked: delivery.blocked }),
    start: () => delivery.start(),
    onLost: (fn) => delivery.onLost(fn),
    note(o) {
      if (!settling) delivery.note(o)
    },
    ack: (o) =>
      once('ack', async () => {
        if (o?.tx !== undefined) checkTx(driver.name, driver.traits)
        for (const envelope of o?.publish ?? []) checkEnvelope(envelope, driver.name, driver.traits)
        await delivery.ack(o)
      }),
    retry: (o) => once('retry', () => delivery.retry(o)),
    dead: (o) => once('dead', () => delivery.dead(o)),
    release: (o) => once('release', () => delivery.release(o)),
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
