// The queues that one consumer takes from, on one channel. Prefetch holds for each of RabbitMQ's consumers and never changes
// once it consumes, so a tap that gives too little is closed and opened again with more.
import type { Channel, ConsumeMessage } from 'amqplib'
import { randomUUID } from 'node:crypto'

export type TapKind = 'suspect' | 'high' | 'queue' | 'subscription' | 'low'

/** A consumer of RabbitMQ. What it has given stays ours when it is cancelled. */
export interface Sub {
  readonly tap: Tap
  readonly tag: string
  readonly limit: number
  readonly since: number
  unsettled: number
  /** Messages that it gave and that are settled. */
  passed: number
}

export interface Tap {
  readonly kind: TapKind
  /** Its name at the broker. */
  readonly queue: string
  /** Of the subscription whose copies it gives. */
  readonly subscription?: string
  sub: Sub | undefined
  /** Being opened or closed. */
  busy: boolean
  /** The broker has ended it. It is not opened before its queue is known to be there again. */
  ended: boolean
  /** Unsettled messages of it, of all its subs. */
  unsettled: number
}

/** RabbitMQ refuses more for a quorum queue. */
const MOST = 2000
/** How much of the high level lies ready, so that it is here before its turn. */
const HIGH_AHEAD = 4
/** What is taken beyond the credit must be gone after about so many milliseconds. */
const HORIZON = 50
/** A broker that answers at all gives a consumer within milliseconds. */
const SLOW = 10_000

export interface Taps {
  readonly all: readonly Tap[]
  add(tap: { kind: TapKind; queue: string; subscription?: string }): void
  /** How many more it is to be asked for, at this prefetch; 0 while it has not given all it may. */
  more(tap: Tap, prefetch: number): number
  /** Open what is closed, and give more to what has given all it may. `true`: something was closed. */
  open(prefetch: number, hasRoom: (kind: TapKind) => boolean): boolean
  /** Take nothing from it any more. */
  close(tap: Tap): Promise<void>
  /** The channel that they are on. */
  attach(channel: Channel | undefined): void
  /** Their queues are there again; those of taps that do not fit are not, and nothing more comes from them. */
  found(isThere: (tap: Tap) => boolean): void
  /** Resolves when nothing is being opened or closed. */
  quiet(): Promise<void>
}

export function createTaps(o: {
  onMessage(sub: Sub, message: ConsumeMessage): void
  /** The broker has ended it: its queue was deleted, or is moved. */
  onCancelled(tap: Tap): void
  /** The broker has not answered for so many milliseconds; opening goes on. */
  onSlow(tap: Tap, ms: number): void
  /** It could not be opened; the channel is closed by then. */
  onError(error: unknown): void
  /** It is about to be asked for so many more. */
  onMore(tap: Tap, jobs: number): void
  /** A tap was opened or closed. */
  onDone(): void
}): Taps {
  const all: Tap[] = []
  let channel: Channel | undefined
  let chain: Promise<unknown> = Promise.resolve()

  function openOne(tap: Tap, limit: number): void {
    const mine = channel
    if (!mine) return
    tap.busy = true
    const old = tap.sub
    tap.sub = undefined
    // Prefetch holds for the consumers that are made after it, so nobody may come between.
    chain = chain
      .then(async () => {
        if (old) await mine.cancel(old.tag)
        if (tap.ended) return // meanwhile: asked for now, it would close the channel
        const sub: Sub = { tap, tag: randomUUID(), limit, since: performance.now(), unsettled: 0, passed: 0 }
        const prefetch = mine.prefetch(limit, false)
        const consume = mine.consume(tap.queue, (message) => got(mine, sub, message), { consumerTag: sub.tag })
        const slow = setTimeout(() => channel === mine && o.onSlow(tap, SLOW), SLOW)
        await Promise.all([prefetch, consume]).finally(() => clearTimeout(slow))
        if (channel === mine && !gone.delete(sub.tag)) tap.sub = sub
      })
      .catch((error: unknown) => {
        if ((error as { code?: unknown }).code === 404) tap.ended = true
        if (channel === mine) o.onError(error)
      })
      .finally(() => done(tap))
  }

  function done(tap: Tap): void {
    tap.busy = false
    o.onDone()
  }

  /** Subs whose queue went away before they were there. */
  const gone = new Set<string>()

  function got(mine: Channel, sub: Sub, message: ConsumeMessage | null): void {
    if (channel !== mine) return
    if (message) {
      sub.unsettled += 1
      sub.tap.unsettled += 1
      o.onMessage(sub, message)
      return
    }
    if (sub.tap.sub === sub) sub.tap.sub = undefined
    else gone.add(sub.tag)
    sub.tap.ended = true
    o.onCancelled(sub.tap)
  }

  function more(tap: Tap, prefetch: number): number {
    if (tap.ended || (tap.sub && tap.sub.unsettled < tap.sub.limit)) return 0
    return Math.max(0, limitOf(tap, prefetch))
  }

  return {
    all,
    more,
    add: (tap) => void all.push({ ...tap, sub: undefined, busy: false, ended: false, unsettled: 0 }),
    attach(next) {
      channel = next
      gone.clear()
      for (const tap of all) {
        tap.sub = undefined
        tap.unsettled = 0
      }
    },
    open(prefetch, hasRoom) {
      let anew = false
      for (const tap of all) {
        const limit = tap.busy ? 0 : more(tap, prefetch)
        if (limit === 0 || !hasRoom(tap.kind)) continue
        o.onMore(tap, limit)
        anew ||= !tap.sub
        openOne(tap, limit)
      }
      return anew
    },
    async close(tap) {
      const mine = channel
      await chain
      const { sub } = tap
      if (!sub || !mine || channel !== mine) return
      tap.sub = undefined
      tap.busy = true
      const closing = mine.cancel(sub.tag).catch(() => {})
      chain = chain.then(() => closing)
      await closing
      done(tap)
    },
    found(isThere) {
      for (const tap of all.filter(({ ended }) => ended)) {
        tap.ended = false
        if (!isThere(tap)) all.splice(all.indexOf(tap), 1)
      }
    },
    async quiet() {
      await chain
    },
  }
}

/** How many messages a new sub of the tap may give, beyond what the earlier ones gave. */
function limitOf(tap: Tap, prefetch: number): number {
  if (tap.kind === 'suspect') return tap.unsettled > 0 ? 0 : 1
  const again = tap.sub !== undefined
  const wanted =
    tap.kind === 'high' ? prefetch + HIGH_AHEAD : tap.kind === 'low' && !again ? Math.ceil(prefetch / 4) : prefetch
  const { sub } = tap
  const perMs = sub ? sub.passed / Math.max(1, performance.now() - sub.since) : 0
  return Math.min(MOST, Math.max(wanted - tap.unsettled, Math.floor(perMs * HORIZON)))
}
