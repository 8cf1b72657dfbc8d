// The sweep of a pair: looks which jobs of the store are to be handed to the broker now, and hands them over. Every process
// with a consumer sweeps; two never take the same handing.
import { hasCode, messageOf } from '../../core/errors.js'
import { HIGHEST_PRIORITY } from '../../core/job.js'
import type { Broker, ConnectOptions, Signals } from '../driver.js'
import type { DueHanding, Ledger } from '../ledger.js'
import { messageFor, suspectMessageFor } from './handing.js'

export interface Sweep {
  /** Look soon: something may be due. */
  kick(): void
  /** Something will be due in so many milliseconds. */
  dueIn(ms: number): void
  /**
   * Go on looking until `end()`, in the name of this worker: what it leaves unfinished is due when its death is seen. A process
   * without consumers looks only when it is kicked, and holds no timer.
   */
  begin(worker: string): { end(): void }
  /** Look no more; resolves when nothing is under way. */
  close(): Promise<void>
}

/** Handings taken with one look. */
const BATCH = 500
/** Between two looks when nothing happens. */
const EVERY = 1_000
/** Between two looks in any case: at full speed every publish says that something happened. */
const GAP = 10
const LONGEST_PAUSE = 5_000

export function createSweep(o: {
  readonly ledger: Ledger<any>
  readonly broker: Broker<any>
  /** Resolves when the broker answers. */
  pingBroker(): Promise<void>
  /** Whether the broker tells priorities apart. */
  readonly priorities: boolean
  readonly signals: Signals
  readonly log: ConnectOptions['log']
}): Sweep {
  /** Taken from the store, and not with the broker yet: it was away. */
  let taken: readonly DueHanding[] = []
  /** The worker of each consumer. */
  const consumers: string[] = []
  let closed = false
  /** The broker is being asked whether it answers, and nothing has been taken. */
  let asking = false
  let failures = 0
  let running: Promise<void> | undefined
  let again = false
  let lastLook = -Infinity
  let timer: NodeJS.Timeout | undefined
  let timerAt = Infinity
  let off: (() => void) | undefined

  const message = ({ envelope, ticket, suspect }: DueHanding) =>
    suspect
      ? suspectMessageFor(envelope, ticket, o.priorities ? HIGHEST_PRIORITY : undefined)
      : messageFor(envelope, ticket)

  function lookIn(ms: number): void {
    const at = Math.max(performance.now() + ms, lastLook + GAP)
    if (closed || at >= timerAt) return
    clearTimeout(timer)
    timerAt = at
    timer = setTimeout(look, Math.max(0, Math.ceil(at - performance.now())))
  }

  function stopTimer(): void {
    clearTimeout(timer)
    timer = undefined
    timerAt = Infinity
  }

  function kick(): void {
    if (running) again = true
    else if (failures === 0 || timer === undefined) lookIn(0) // else the next try is waited for
  }

  function look(): void {
    stopTimer()
    if (closed || running) return
    again = false
    running = lookAndGoOn()
  }

  async function lookAndGoOn(): Promise<void> {
    const next = await lookOnce()
    running = undefined
    lastLook = performance.now()
    if (again && failures === 0) lookIn(0)
    else if (consumers.length > 0) lookIn(next)
  }

  /** Milliseconds until the next look. Never rejects. */
  async function lookOnce(): Promise<number> {
    try {
      for (;;) {
        let nextDueIn: number | undefined
        // Whoever takes what he cannot hand over, and then ends, keeps it from everybody for long.
        await ask()
        if (closed) return EVERY
        if (taken.length === 0) ({ handings: taken, nextDueIn } = await o.ledger.due({ limit: BATCH, ...inTheName() }))
        if (taken.length === 0) {
          failures = 0
          return Math.min(EVERY, nextDueIn ?? EVERY)
        }
        await hand()
        failures = 0
        if (closed) return EVERY
      }
    } catch (error) {
      if (closed) return EVERY
      failures += 1
      if (failures === 1)
        o.log('warn', `Jobs that are due could not be handed to the broker: ${messageOf(error)}. Trying again.`)
      return Math.min(LONGEST_PAUSE, 50 * 2 ** failures)
    }
  }

  const inTheName = () => (consumers.length > 0 ? { worker: consumers[0]! } : {})

  async function ask(): Promise<void> {
    asking = true
    try {
      await o.pingBroker()
    } finally {
      asking = false
    }
  }

  /** To publish the same handing twice does no harm, so what failed is published once more as a whole. */
  async function hand(): Promise<void> {
    const handings = taken
    try {
      await o.broker.publish({ envelopes: handings.map(message) })
    } catch (error) {
      if (hasCode(error, 'ERR_BROKER_UNAVAILABLE') || handings.length === 1) throw keepUnlessRefused(error)
      for (const one of handings) await handOne(one)
    }
    taken = []
    await o.ledger.handed({ handings }).catch(() => {}) // then they come again, and one of the two is stale
  }

  /** One that the broker refuses must not hold up the others; the store offers it again after a while. */
  async function handOne(one: DueHanding): Promise<void> {
    try {
      await o.broker.publish({ envelopes: [message(one)] })
    } catch (error) {
      if (hasCode(error, 'ERR_BROKER_UNAVAILABLE')) throw error
      o.log('error', `Job ${one.id} was refused by the broker: ${messageOf(error)}`)
    }
  }

  function keepUnlessRefused(error: unknown): unknown {
    if (!hasCode(error, 'ERR_BROKER_UNAVAILABLE')) taken = []
    return error
  }

  return {
    kick,
    dueIn(ms) {
      if (running) again ||= ms < EVERY
      else if (consumers.length > 0 && failures === 0) lookIn(Math.max(0, ms))
    },
    begin(worker) {
      consumers.push(worker)
      off ??= o.signals.on('work', kick)
      kick()
      let ended = false
      return {
        end() {
          if (ended) return
          ended = true
          consumers.splice(consumers.indexOf(worker), 1)
          if (consumers.length > 0) return
          off?.()
          off = undefined
          if (!running) stopTimer()
        },
      }
    },
    async close() {
      closed = true
      off?.()
      stopTimer()
      if (!asking) await running // else it ends by itself, and touches nothing any more
    },
  }
}
