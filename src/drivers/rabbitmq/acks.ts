// What was delivered on one channel and is not settled, in the order of delivery, and the acks that wait for the end of this
// turn of the event loop: one for all of them as far as no unsettled one lies between, the others one by one.
import type { Channel, Message } from 'amqplib'

/** A message in our hands. */
export interface Held {
  readonly tag: number
  settled: boolean
  before: Held | undefined
  after: Held | undefined
  /** The acknowledgement was written. */
  onWritten(): void
  /** The channel is gone, and the message with it. */
  onGone(): void
}

export interface Acks {
  readonly alive: boolean
  add(held: Held): void
  /** `false`: the channel was gone before the acknowledgement was written. */
  settle(held: Held): Promise<boolean>
  /** Write what waits now. */
  flush(): void
  /** The channel is gone. */
  lose(): void
  /** Messages that are not settled. */
  readonly size: number
}

export function createAcks(channel: Channel, onFlushed: () => void): Acks {
  let [first, last]: [Held | undefined, Held | undefined] = [undefined, undefined]
  let size = 0
  let alive = true
  let done: Held[] = []
  let told: Promise<boolean> | undefined
  let tell: ((written: boolean) => void) | undefined

  function unlink(held: Held): void {
    if (held.before) held.before.after = held.after
    else first = held.after
    if (held.after) held.after.before = held.before
    else last = held.before
    held.before = held.after = undefined
    size -= 1
  }

  function write(tag: number, multiple: boolean): void {
    channel.ack({ fields: { deliveryTag: tag } } as Message, multiple)
  }

  function flush(): void {
    if (tell === undefined || !alive) return
    const mine = done
    const answer = tell
    done = []
    told = tell = undefined
    let count = 0
    let highest = 0
    while (first?.settled) {
      highest = first.tag
      count += 1
      unlink(first)
    }
    try {
      if (count > 0) write(highest, count > 1)
      if (count < mine.length)
        for (const held of mine) {
          if (held.tag <= highest) continue
          unlink(held)
          write(held.tag, false)
        }
    } catch {
      answer(false) // the channel is closing; who is left hears of it when it has closed
      return
    }
    for (const held of mine) held.onWritten()
    answer(true)
    onFlushed()
  }

  return {
    get alive() {
      return alive
    },
    get size() {
      return size
    },
    add(held) {
      held.before = last
      if (last) last.after = held
      else first = held
      last = held
      size += 1
    },
    settle(held) {
      if (!alive || held.settled) return Promise.resolve(false)
      held.settled = true
      done.push(held)
      if (told) return told
      told = new Promise((resolve) => (tell = resolve))
      setImmediate(flush)
      return told
    },
    flush,
    lose() {
      if (!alive) return
      alive = false
      tell?.(false)
      for (let held = first; held; held = held.after) held.onGone()
      first = last = undefined
      size = 0
      done = []
    },
  }
}
