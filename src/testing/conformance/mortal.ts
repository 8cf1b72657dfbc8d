// A process that dies at a chosen point: drivers that from then on answer nobody, as those of a killed process would not.
import type { Broker, Delivery, Driver, StatefulDriver } from '../../driver/driver.js'
import type { Ledger } from '../../driver/ledger.js'
import { wrapDelivery } from '../../driver/wrap.js'

/** Where a process can die: just before or just after something that it does to the broker or the store. */
export type Point =
  | 'store: add'
  | 'store: handed'
  | 'store: withdraw'
  | 'store: due'
  | 'store: start'
  | 'store: record'
  | 'store: ack'
  | 'store: retry'
  | 'store: dead'
  | 'store: release'
  | 'store: purge'
  | 'broker: publish'
  | 'broker: ack'

export interface Death {
  readonly when: 'before' | 'after'
  readonly point: Point
}

export interface Life {
  readonly broker: Driver
  readonly store: StatefulDriver<any>
  /** Resolves when the process has died. */
  readonly died: Promise<void>
  /** From now on the point is one to die at. */
  arm(): void
  /** Die now. */
  die(): void
}

/** An answer that has taken nothing: to die after it would prove nothing. */
const isNothing = (answer: unknown) => (answer as { handings?: readonly unknown[] } | undefined)?.handings?.length === 0

/** The broker and the store of one process, which dies at this point once it is armed, or when it is told to. */
export function mortal(parts: { readonly broker: Driver; readonly store: StatefulDriver<any> }, death?: Death): Life {
  let dead = false
  let armed = false
  let tell!: () => void
  const died = new Promise<void>((resolve) => (tell = resolve))
  const never = () => new Promise<never>(() => {})

  function die(): void {
    if (dead) return
    dead = true
    // The product notices that the link is cut, and gives to others what this process had in hand.
    void parts.broker.close()
    tell()
  }

  /** What a process does, unless it is dead; after that nothing ever comes of it. */
  function act<T>(point: Point | undefined, call: () => Promise<T>): Promise<T> {
    if (dead) return never()
    if (armed && point !== undefined && death?.point === point && death.when === 'before') {
      die()
      return never()
    }
    const done = call()
    return new Promise<T>((resolve, reject) => {
      done.then(
        (value) => {
          if (dead) return
          if (armed && point !== undefined && death?.point === point && !isNothing(value)) die()
          else resolve(value)
        },
        (error: unknown) => !dead && reject(error as Error),
      )
    })
  }

  /** Every method of a port; `points` says which of them are points to die at. */
  function port<P extends object>(own: P, points: Partial<Record<keyof P, Point>> = {}): P {
    const wrapped: Record<string, unknown> = {}
    for (const [key, method] of Object.entries(own))
      wrapped[key] =
        typeof method === 'function'
          ? (...args: unknown[]) =>
              act(points[key as keyof P], () => (method as (...a: unknown[]) => Promise<unknown>).apply(own, args))
          : method
    return wrapped as P
  }

  const delivery = (own: Delivery<any>, side: 'store' | 'broker'): Delivery<any> => {
    const at = (verb: string) => (side === 'store' || verb === 'ack' ? (`${side}: ${verb}` as Point) : undefined)
    return wrapDelivery(own, {
      start: () => act(undefined, () => own.start()),
      note: (o) => void (!dead && own.note(o)),
      onLost: (fn) => own.onLost((why) => !dead && fn(why)),
      ack: (o) => act(at('ack'), () => own.ack(o)),
      retry: (o) => act(at('retry'), () => own.retry(o)),
      dead: (o) => act(at('dead'), () => own.dead(o)),
      release: (o) => act(at('release'), () => own.release(o)),
    })
  }

  const carried: Broker<any> = parts.broker.broker
  const ledger: Ledger<any> = parts.store.ledger!
  const { store } = parts
  return {
    died,
    arm: () => void (armed = true),
    die,
    broker: {
      ...parts.broker,
      broker: {
        ...port(carried, { publish: 'broker: publish' }),
        consume: (o) =>
          act(undefined, () =>
            carried.consume({ ...o, onDelivery: (own) => void (!dead && o.onDelivery(delivery(own, 'broker'))) }),
          ),
      },
      close: () => (dead ? Promise.resolve() : parts.broker.close()),
    },
    store: {
      ...store,
      broker: port(store.broker, { purge: 'store: purge' }),
      jobs: port(store.jobs),
      state: port(store.state),
      events: port(store.events),
      eventLog: port(store.eventLog),
      // Nothing of a dead process beats.
      workers: port(store.workers),
      signals: { on: (topic, listener) => store.signals.on(topic, () => !dead && listener()) },
      ledger: {
        ...port(ledger, {
          add: 'store: add',
          handed: 'store: handed',
          withdraw: 'store: withdraw',
          due: 'store: due',
          record: 'store: record',
        }),
        hold: (o) =>
          act(undefined, async () => {
            const holder = await ledger.hold(o)
            return {
              start: async (arrivals) => {
                const started = await act('store: start', () => holder.start(arrivals))
                return started.map((own) => own && delivery(own, 'store'))
              },
              stop: () => act(undefined, () => holder.stop()),
            }
          }),
      },
    },
  }
}
