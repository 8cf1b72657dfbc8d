// A link to RabbitMQ that heals: one AMQP connection, dialled again for as long as the driver is open. Everything that lives
// on a connection (channels, consumers, delivery tags) dies with it, so whoever uses a link sets up anew when it is up again.
import type { ChannelModel } from 'amqplib'
import { ClientClosedError, messageOf } from '../../core/errors.js'
import type { ConnectOptions } from '../../driver/driver.js'
import { dialAny, DialError } from './dial.js'
import { unavailable } from './errors.js'
import { shownBroker, type RabbitmqSettings } from './options.js'
import type { Server } from './probe.js'
import { destroy, endSoon, flushed, keepProcess } from './socket.js'

/** One connection while it lives. */
export interface Live {
  readonly connection: ChannelModel
  /** Grows with every connection of this link: what was made under another generation is stale. */
  readonly generation: number
  /** What the server said of itself: version and limits. */
  readonly server: Server
}

export interface Link {
  /** `publish` or `consume`: for the connection's name and for logs. */
  readonly purpose: string
  /** The live connection, if there is one. */
  readonly live: Live | undefined
  /** Why there is none, when there should be one: the last dial's failure, or what ended the connection. */
  readonly trouble: string | undefined
  /** Why the broker refuses publishers just now (`connection.blocked`), in its words; `undefined` when it does not. */
  readonly blocked: string | undefined
  /**
   * The live connection; waits for one at most `within` milliseconds, and dials if nobody does. What waiting will not mend
   * (a wrong password, a missing vhost) rejects at once.
   * @throws BrokerUnavailableError `not-sent`, whose message says why: refused, wrong credentials, no such vhost, …
   */
  open(o: { readonly within: number }): Promise<Live>
  /**
   * Called with each new connection, with one that is up already at once; while any listener is there the link is dialled
   * again by itself. A listener that rejects closes that connection, and it is dialled again later.
   * @returns stops listening
   */
  onUp(listener: (live: Live) => void | Promise<void>): () => void
  /** Called when a connection that was up is gone. */
  onDown(listener: (error: Error, live: Live) => void): () => void
  /** Called when the broker begins (a reason) or ceases (`undefined`) to refuse publishers. */
  onBlocked(listener: (reason: string | undefined) => void): () => void
  /** Give up this connection, because something on it did not answer; listeners hear of it, and it is dialled again. */
  drop(live: Live, error: Error): void
  /**
   * A link alone does not keep the process from ending, not even while an answer of the broker is awaited on it; as long as
   * somebody holds it, it does. It is held while a listener of `onUp` is at work, and during `open` and `use`.
   * @returns lets go
   */
  hold(): () => void
  /** What `work` answers, which has the live connection, and the link held, while it runs. Throws as `open`. */
  use<T>(o: { readonly within: number }, work: (live: Live) => Promise<T>): Promise<T>
  /** Idempotent. Waits for what is on its way to the server, though not for long. Listeners hear nothing of it. */
  close(): Promise<void>
}

export interface LinkOptions {
  readonly purpose: string
  readonly settings: RabbitmqSettings
  readonly log: ConnectOptions['log']
}

interface Waiter {
  resolve(live: Live): void
  reject(error: Error): void
}

/** Milliseconds between dials, which double. Five seconds after the broker is back everybody is to be at work again. */
const FIRST_DELAY = 100
const LONGEST_DELAY = 2000
const LONGEST_DELAY_OF_WAITING = 300
/** A broker that does not answer a close within this is not waited for. */
const CLOSE_WITHIN = 2000

/** Dials nobody before it is asked to. */
export function createLink({ purpose, settings, log }: LinkOptions): Link {
  const ups = new Set<(live: Live) => void | Promise<void>>()
  const downs = new Set<(error: Error, live: Live) => void>()
  const blockers = new Set<(reason: string | undefined) => void>()
  const waiting = new Set<Waiter>()
  const holds = new Set<object>()
  let live: Live | undefined
  let trouble: string | undefined
  let blocked: string | undefined
  let generation = 0
  let host = Math.floor(Math.random() * settings.hosts.length)
  let dialling: AbortController | undefined
  let timer: NodeJS.Timeout | undefined
  let due = 0
  let lastDial = -Infinity
  /** Dials and set-ups that failed in a row. */
  let failures = 0
  let closing: Promise<void> | undefined

  /** Dial again, when somebody wants it: after a while that grows, or soon when somebody waits. */
  function redial(): void {
    if (closing || live || dialling || (ups.size === 0 && waiting.size === 0)) return
    const longest = waiting.size > 0 ? LONGEST_DELAY_OF_WAITING : LONGEST_DELAY
    const delay = Math.min(longest, FIRST_DELAY * 2 ** Math.max(0, failures - 1)) * (0.5 + Math.random() / 2)
    const now = performance.now()
    const at = failures === 0 ? now : Math.max(now, lastDial + delay)
    if (timer && due <= at) return
    clearTimeout(timer)
    due = at
    timer = setTimeout(() => void dial(), at - now)
    if (holds.size === 0) timer.unref()
  }

  async function dial(): Promise<void> {
    timer = undefined
    const abort = (dialling = new AbortController())
    try {
      const { connection, server } = await dialAny(settings, { purpose, first: host, signal: abort.signal })
      dialling = undefined
      if (closing) destroy(connection)
      else up({ connection, server, generation: ++generation })
    } catch (error) {
      dialling = undefined
      lastDial = performance.now()
      host = (host + 1) % settings.hosts.length
      failed(error)
    }
  }

  function failed(error: unknown): void {
    if (closing) return
    const before = trouble
    trouble = messageOf(error)
    failures++
    log(trouble === before ? 'debug' : 'warn', `RabbitMQ (${purpose}): ${trouble}`)
    if (!(error instanceof DialError) || error.lasting)
      for (const one of waiting) one.reject(unavailable(trouble, error instanceof DialError ? error.cause : error))
    redial()
  }

  function up(mine: Live): void {
    const { connection } = mine
    live = mine
    trouble = undefined
    keepProcess(connection, holds.size > 0)
    let why: Error | undefined
    connection.on('error', (error) => gone(mine, (why = error)))
    connection.on('close', (error) => gone(mine, error ?? why ?? new Error('The connection was closed.')))
    connection.on('blocked', (reason) => block(mine, reason))
    connection.on('unblocked', () => block(mine, undefined))
    log('debug', `RabbitMQ (${purpose}): connected to ${mine.server.at}`, { version: mine.server.version })
    const told = [...ups].map((listener) => tell(listener, mine))
    for (const one of waiting) one.resolve(mine)
    void Promise.all(told).then((well) => {
      if (live !== mine || well.includes(false)) return
      if (failures > 0) log('info', `RabbitMQ (${purpose}): connected again to ${mine.server.at}`)
      failures = 0
    })
  }

  /** Answers whether the listener took the connection. */
  async function tell(listener: (live: Live) => void | Promise<void>, mine: Live): Promise<boolean> {
    const letGo = hold()
    try {
      await listener(mine)
      return true
    } catch (error) {
      drop(mine, error instanceof Error ? error : new Error(messageOf(error)))
      return false
    } finally {
      letGo()
    }
  }

  function gone(mine: Live, error: Error): void {
    if (live !== mine || closing) return
    live = undefined
    lastDial = performance.now()
    trouble = `The connection to ${mine.server.at} is gone: ${error.message}`
    log(failures++ === 0 ? 'warn' : 'debug', `RabbitMQ (${purpose}): ${trouble}`)
    endSoon(mine.connection)
    tellBlocked(undefined)
    for (const listener of downs) listener(error, mine)
    redial()
  }

  function drop(mine: Live, error: Error): void {
    if (live !== mine) return
    void mine.connection.close().catch(() => {})
    gone(mine, error)
  }

  function block(mine: Live, reason: string | undefined): void {
    if (live !== mine) return
    log(
      reason === undefined ? 'info' : 'warn',
      `RabbitMQ (${purpose}): ${reason === undefined ? 'takes messages again' : `takes no messages (${reason}). See: rabbitmqctl status`}`,
    )
    tellBlocked(reason)
  }

  function tellBlocked(reason: string | undefined): void {
    if (blocked === reason) return
    blocked = reason
    for (const listener of blockers) listener(reason)
  }

  function open({ within }: { readonly within: number }): Promise<Live> {
    if (closing) return Promise.reject(new ClientClosedError())
    if (live) return Promise.resolve(live)
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(limit)
        waiting.delete(waiter)
      }
      const limit = setTimeout(() => waiter.reject(unavailable(late(within), undefined)), within)
      const waiter: Waiter = {
        resolve: (one) => (end(), resolve(one)),
        reject: (error) => (end(), reject(error)),
      }
      waiting.add(waiter)
      redial()
    })
  }

  function hold(): () => void {
    const mine = {}
    holds.add(mine)
    keep()
    return () => {
      if (holds.delete(mine)) keep()
    }
  }

  function keep(): void {
    if (live) keepProcess(live.connection, holds.size > 0)
    if (holds.size > 0) timer?.ref()
    else timer?.unref()
  }

  const late = (within: number) =>
    trouble === undefined
      ? `${shownBroker(settings)} did not answer within ${within} ms. Look whether the broker runs and the network lets us through.`
      : `No connection within ${within} ms. ${trouble}`

  async function shut(): Promise<void> {
    clearTimeout(timer)
    dialling?.abort()
    for (const one of waiting) one.reject(new ClientClosedError())
    if (!live) return
    const { connection } = live
    live = undefined
    keepProcess(connection, true)
    let limit: NodeJS.Timeout | undefined
    const enough = new Promise<void>((resolve) => (limit = setTimeout(resolve, CLOSE_WITHIN)))
    await Promise.race([
      flushed(connection)
        .then(() => connection.close())
        .catch(() => {}),
      enough,
    ])
    clearTimeout(limit)
    destroy(connection)
  }

  return {
    purpose,
    get live() {
      return live
    },
    get trouble() {
      return trouble
    },
    get blocked() {
      return blocked
    },
    open,
    onUp(listener) {
      ups.add(listener)
      if (live) void tell(listener, live)
      redial()
      return () => void ups.delete(listener)
    },
    onDown: (listener) => added(downs, listener),
    onBlocked: (listener) => added(blockers, listener),
    drop,
    hold,
    async use(o, work) {
      const letGo = hold()
      try {
        return await work(await open(o))
      } finally {
        letGo()
      }
    },
    close: () => (closing ??= shut()),
  }
}

function added<T>(set: Set<T>, listener: T): () => void {
  set.add(listener)
  return () => void set.delete(listener)
}
