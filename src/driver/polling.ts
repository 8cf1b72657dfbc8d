// Makes a push consumer out of a store that must be asked: looks when something is said to have changed, when the next
// delayed job is due, and now and then in any case.
import { LeaseLostError, messageOf } from '../core/errors.js'
import type { Consumer, Delivery, LostReason } from './driver.js'

/** A delivery whose owner can be told that it is lost. */
export interface PolledDelivery<Tx> extends Delivery<Tx> {
  lose(why: LostReason): void
}

export interface PollingOptions<Tx> {
  readonly prefetch: number
  /**
   * Take at most `credit()` jobs, asked at the last moment, and at most one suspect unless `suspects` is false.
   * `more`: others may be waiting still. `nextDueIn`: milliseconds until the earliest delayed job, if there is one.
   */
  claim(o: { readonly credit: () => number; readonly suspects: boolean }): Promise<{
    readonly deliveries: readonly PolledDelivery<Tx>[]
    readonly more: boolean
    readonly nextDueIn?: number
  }>
  onDelivery(delivery: Delivery<Tx>): void
  /** Give back what was claimed but can no longer be delivered. */
  giveBack(delivery: PolledDelivery<Tx>): Promise<void>
  /** Milliseconds between two looks when nothing happens. */
  readonly pollEvery: number
  onError(error: unknown): void
}

/** A consumer that is woken by `wake()`, and must be told by `settled(delivery)` when a delivery has left. */
export interface PollingConsumer<Tx> extends Consumer {
  wake(): void
  settled(delivery: PolledDelivery<Tx>): void
  /** Deliveries in the worker's hands. */
  readonly inHand: ReadonlySet<PolledDelivery<Tx>>
}

const LONGEST_PAUSE_AFTER_ERROR = 5_000

export function createPollingConsumer<Tx>(o: PollingOptions<Tx>): PollingConsumer<Tx> {
  const inHand = new Set<PolledDelivery<Tx>>()
  let prefetch = o.prefetch
  let stopped = false
  let looking = false
  let lookAgain = false
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let suspect: PolledDelivery<Tx> | undefined
  const idle: (() => void)[] = []
  let tellClosed!: (error: Error | undefined) => void
  const closed = new Promise<Error | undefined>((resolve) => (tellClosed = resolve))

  const credit = () => (stopped ? 0 : prefetch - inHand.size)

  function lookIn(ms: number): void {
    clearTimeout(timer)
    if (stopped) return
    timer = setTimeout(look, Math.max(0, Math.min(ms, o.pollEvery)))
  }

  function look(): void {
    if (looking) {
      lookAgain = true
      return
    }
    clearTimeout(timer)
    if (credit() <= 0) return
    looking = true
    void lookOnce().finally(() => {
      looking = false
      for (const done of idle.splice(0)) done()
      if (lookAgain) {
        lookAgain = false
        look()
      }
    })
  }

  async function lookOnce(): Promise<void> {
    // What is settled in this turn gives its credit to one look, and the event loop gets its turn between looks.
    await new Promise<void>((resolve) => setImmediate(resolve))
    try {
      const { deliveries, more, nextDueIn } = await o.claim({ credit, suspects: suspect === undefined })
      failures = 0
      for (const delivery of deliveries) await hand(delivery)
      if (more) lookAgain ||= credit() > 0
      else lookIn(nextDueIn ?? o.pollEvery)
    } catch (error) {
      failures += 1
      o.onError(error)
      lookIn(Math.min(LONGEST_PAUSE_AFTER_ERROR, 50 * 2 ** failures))
    }
  }

  async function hand(delivery: PolledDelivery<Tx>): Promise<void> {
    if (stopped) return o.giveBack(delivery).catch(o.onError)
    inHand.add(delivery)
    if (delivery.suspect) suspect = delivery
    o.onDelivery(delivery)
  }

  lookIn(0)
  return {
    inHand,
    closed,
    wake: look,
    settled(delivery) {
      inHand.delete(delivery)
      if (suspect === delivery) suspect = undefined
      look()
    },
    setPrefetch(n) {
      prefetch = n
      look()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      if (looking) await new Promise<void>((resolve) => idle.push(resolve))
      tellClosed(undefined)
    },
  }
}

/** The part of a delivery that every polled driver shares: who is told when it is lost. */
export function createLostSwitch(): { lose(why: LostReason): void; onLost(fn: (why: LostReason) => void): void } {
  const told = new Set<LostReason>()
  const listeners: ((why: LostReason) => void)[] = []
  return {
    lose(why) {
      if (told.has(why)) return
      told.add(why)
      for (const listener of listeners) listener(why)
    },
    onLost(fn) {
      listeners.push(fn)
      for (const why of told) fn(why)
    },
  }
}

/** The message for a log when a look failed; a lost lease is no failure of the store. */
export function describeLookError(error: unknown): string {
  return error instanceof LeaseLostError ? error.message : `Could not look for jobs: ${messageOf(error)}. Trying again.`
}
