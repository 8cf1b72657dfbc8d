// A consumer: hands over the jobs of one queue, of three levels of priority, its suspects, and the copies of its
// subscriptions, never more than the credit. What came beyond that waits here for a moment, and then goes back for others.
import type { Channel, ConsumeMessage } from 'amqplib'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../core/errors.js'
import type { ConnectOptions, ConsumeOptions, Consumer } from '../../driver/driver.js'
import { createAcks, type Acks } from './acks.js'
import { answered } from './declare.js'
import { RabbitDelivery, type Home, type Sending } from './delivery.js'
import type { Link, Live } from './link.js'
import { NO_JOB, deliveryCount, isForeign, type Foreign, type Unpacked } from './message.js'
import { createReady, FOLLOWS, isMoreUrgent } from './ready.js'
import { createTaps, type Sub, type Tap, type TapKind } from './taps.js'

/** How long a message may lie here while nothing is taken. */
const STALE = 250
const STALE_WHEN_CLOSED = 20
/** What is early by less waits here; the clocks of two machines differ. */
const EARLY = 1_000
/** The clocks that are read at both ends count whole milliseconds, and a timer may fire one too soon. */
const CLOCK_STEPS = 2
/** What may kill us is begun when the broker has all that we have written before. */
const SUSPECT_PAUSE = 25
/** RabbitMQ answers the end of a consumer that it does not know as of any other, and when it has read what came before. */
const NOBODY = 'nobody'
/** A queue that was opened gives what it has within about so many milliseconds. */
const FIRST_ANSWERS = 5
/** After a channel was closed. */
const PAUSE = 250
/** A queue that is declared again while its deletion goes on can stop a whole RabbitMQ 3.10 for most of a minute. */
const PAUSE_OF_DELETED = 1_000
const GIVE_BACK_AGAIN = 500
/** A stop does not wait longer for a broker that takes no copies; it has the messages themselves back then. */
const GIVE_BACK_WITHIN = 5_000

export interface ConsumerParts {
  readonly link: Link
  readonly sending: Sending
  readonly vhost: string
  readonly maxCrashes: number
  /** A store keeps the books: it knows who is a suspect and who is to be buried, and what is handed over twice. */
  readonly carries: boolean
  readonly log: ConnectOptions['log']
  /** What the consumer is to take from now. */
  taps(): readonly { kind: TapKind; queue: string; subscription?: string }[]
  /** Called when there is more to take from. */
  onTaps(listener: () => void): () => void
  /** Make it exist, again if it is gone. */
  declare(o: { readonly again: boolean }): Promise<void>
  unpack(message: ConsumeMessage, tap: Tap): Unpacked | Foreign
  /** Keep what is no job where an operator finds it. */
  aside(message: ConsumeMessage, why: string): Promise<void>
}

export async function startConsumer(o: ConsumeOptions, parts: ConsumerParts): Promise<Consumer> {
  const { link, log } = parts
  let prefetch = o.prefetch
  let handed = 0
  let stopped = false
  let channel: Channel | undefined
  let home: Home | undefined
  const ready = createReady()
  let staleTimer: NodeJS.Timeout | undefined
  let opening = false
  let beginning = 0
  let followTimer: NodeJS.Timeout | undefined
  /** Not due yet, by a moment. */
  const early = new Map<RabbitDelivery, NodeJS.Timeout>()
  const moves = new Set<Promise<void>>()
  let givenUp = false
  let tellClosed!: (error: Error | undefined) => void
  const closed = new Promise<Error | undefined>((resolve) => (tellClosed = resolve))
  const letGo = link.hold()

  const taps = createTaps({
    onMessage: arrived,
    onCancelled: (tap) => {
      log('warn', `RabbitMQ has ended the consumer of "${tap.queue}": it was deleted, or moved. Declaring it again.`)
      void healQueue()
    },
    onSlow: (tap, ms) =>
      log(
        'warn',
        `RabbitMQ gives no consumer of "${tap.queue}" since ${ms / 1000} s, and nothing of "${o.queue}" is worked here until it does. A queue without a leader is as still as that: look at it with rabbitmq-queues quorum_status ${tap.queue} --vhost ${parts.vhost}.`,
      ),
    onError: (error) => log('warn', `Could not consume from "${o.queue}": ${messageOf(error)}. Trying again.`),
    onMore(tap, jobs) {
      // Where nothing lies ready yet, `beginInOrder` waits for the first answers, but not for long: what is low can wait.
      if (tap.sub || tap.kind === 'queue' || ready.size > ready.before(tap.kind)) ready.expect(tap, jobs)
    },
    onDone: hand,
  })
  const addTaps = () => {
    for (const tap of parts.taps()) if (!taps.all.some(({ queue }) => queue === tap.queue)) taps.add(tap)
  }

  /** Jobs are still to come from it. */
  const isTap = ({ queue }: Tap) => parts.taps().some((one) => one.queue === queue)

  /** A queue that was deleted is there again a little later; declared at once it might never answer. */
  async function healQueue(): Promise<void> {
    const mine = channel
    await sleep(PAUSE_OF_DELETED)
    while (!stopped && channel === mine && mine) {
      try {
        await parts.declare({ again: true })
        taps.found(isTap)
        return openSoon()
      } catch (error) {
        log('warn', `Could not declare "${o.queue}" again: ${messageOf(error)}. Trying again.`)
        await sleep(PAUSE_OF_DELETED)
      }
    }
  }

  async function up(live: Live): Promise<void> {
    if (stopped) return
    const mine = await live.connection.createChannel()
    mine.on('error', (error: Error) => log('warn', `The channel of "${o.queue}": ${error.message}`))
    mine.on('close', () => down(mine, live))
    if (stopped) return void mine.close().catch(() => {})
    channel = mine
    taps.found(() => true) // else the channel is closed at once, and they are declared again
    home = { sending: parts.sending, acks: createAcks(mine, settledSome), carried: parts.carries, left }
    taps.attach(mine)
    openSoon()
  }

  function down(mine: Channel, live: Live): void {
    if (channel !== mine) return
    channel = undefined
    const lost = home!.acks
    home = undefined
    taps.attach(undefined)
    ready.clear()
    for (const timer of early.values()) clearTimeout(timer)
    early.clear()
    lost.lose()
    handed = 0
    if (stopped) return letGo()
    if (link.live !== live) return // a new connection brings a new channel
    void again(live)
  }

  /** The broker has closed the channel, not the connection. */
  async function again(live: Live): Promise<void> {
    await sleep(PAUSE)
    if (stopped || channel || link.live !== live) return
    try {
      await parts.declare({ again: true })
      taps.found(isTap)
      if (!channel && link.live === live) await up(live)
    } catch (error) {
      log('warn', `Could not consume from "${o.queue}" again: ${messageOf(error)}. Trying again.`)
      void again(live)
    }
  }

  function arrived(sub: Sub, message: ConsumeMessage): void {
    const { tap } = sub
    const mine = home!
    const job = parts.unpack(message, tap)
    const count = deliveryCount(message)
    const foreign = isForeign(job)
    ready.came(tap)
    const delivery = new RabbitDelivery(mine, sub, message.fields.deliveryTag, foreign ? NO_JOB : job, count)
    const { acks } = mine
    acks.add(delivery)
    if (foreign) {
      log('warn', `A message in "${tap.queue}" is no job: ${job.foreign}. It is kept in the queue of such messages.`)
      return move(acks, async () => {
        await parts.aside(message, job.foreign)
        await acks.settle(delivery)
      })
    }
    const suspect = tap.kind === 'suspect'
    if (parts.carries) {
      // Without an id of its own it would be another job each time that it comes.
      if (!message.properties.messageId) return move(acks, () => delivery.putBack({ suspect }))
    } else {
      if (suspect && delivery.crashes >= parts.maxCrashes) {
        const error = crashError(delivery)
        log('warn', `The job is dead: ${error.message}`, { job: delivery.envelope.id })
        return move(acks, () => delivery.dead({ reason: 'crashed', error }))
      }
      // Somebody had it in hand when he died, or only held it ready: nobody can tell, so it runs where it can do no harm. A
      // suspect goes there anew, with its crashes written down and the broker's own count at 0.
      if (count > 0) return move(acks, () => delivery.putBack({ suspect: true }))
    }
    const wait =
      job.due === 0 && !suspect ? 0 : Math.max(job.due - Date.now() + CLOCK_STEPS, suspect ? SUSPECT_PAUSE : 0)
    if (wait > EARLY) return move(acks, () => delivery.putBack({ suspect }))
    if (wait > 0) waitFor(delivery, wait)
    else keep(delivery)
    if (sub.unsettled >= sub.limit && prefetch > handed) openSoon()
  }

  function left(delivery: RabbitDelivery): void {
    const { sub } = delivery
    if (delivery.handed) {
      handed -= 1
      ready.left(delivery)
    }
    sub.unsettled -= 1
    sub.passed += 1
    sub.tap.unsettled -= 1
  }

  function waitFor(delivery: RabbitDelivery, ms: number): void {
    const go = () => {
      if (early.delete(delivery)) keep(delivery)
    }
    const due = () => {
      if (!delivery.suspect) return go()
      // Its own acknowledgement may be among those: were it lost with us, there would be two of it.
      if (moves.size > 0) return waitFor(delivery, SUSPECT_PAUSE)
      void channel?.cancel(NOBODY).then(go, () => {})
    }
    early.set(delivery, setTimeout(due, ms))
  }

  function keep(delivery: RabbitDelivery): void {
    delivery.since = performance.now()
    ready.push(delivery)
    hand()
  }

  function hand(): void {
    while (handed < prefetch && !stopped && beginning === 0) {
      const kind = ready.first()
      if (!kind) break
      if (
        taps.all.some((tap) => isMoreUrgent(tap.kind, kind) && tap.kind !== 'suspect' && taps.more(tap, prefetch) > 0)
      ) {
        openSoon() // nobody has asked for what is more urgent
        break
      }
      if (handed + ready.keptFrom(kind) >= prefetch) {
        lookAgain()
        break
      }
      const next = ready.take()
      handed += 1
      next.handed = true
      o.onDelivery(next)
    }
    if (ready.size > 0) staleTimer ??= setTimeout(giveBackStale, STALE)
  }

  /** When what was kept for the more urgent is kept no more. */
  function lookAgain(): void {
    followTimer ??= setTimeout(() => {
      followTimer = undefined
      hand()
      openSoon()
    }, FOLLOWS)
  }

  function settledSome(): void {
    if (stopped) return closeWhenEmpty()
    hand()
    openSoon()
  }

  /** What is in hand after a stop may still be settled; then the channel has done its work. */
  function closeWhenEmpty(): void {
    if (home && (givenUp ? handed : home.acks.size) > 0) return
    letGo()
    void channel?.close().catch(() => {})
    channel = undefined
  }

  function openSoon(): void {
    if (opening) return
    opening = true
    setImmediate(() => {
      opening = false
      if (stopped || !channel || prefetch <= handed) return
      const anew = taps.open(prefetch, (kind) => {
        if (handed + ready.before(kind) + ready.keptFrom(kind) < prefetch) return true
        lookAgain()
        return false
      })
      if (anew) void beginInOrder()
    })
  }

  /** Queues that were just opened answer in any order: what comes first must not run before what is more urgent. */
  async function beginInOrder(): Promise<void> {
    beginning += 1
    await taps.quiet()
    await sleep(FIRST_ANSWERS)
    beginning -= 1
    hand()
  }

  /** Nothing was taken for so long that others may be quicker. */
  function giveBackStale(): void {
    staleTimer = undefined
    if (stopped || ready.size === 0) return
    const patience = prefetch === 0 ? STALE_WHEN_CLOSED : STALE
    const now = performance.now()
    const old = ready.all().filter((one) => now - one.since >= patience)
    const closing = new Set(old.map((one) => one.sub.tap))
    for (const tap of closing) void emptyTap(tap)
    if (ready.size > 0) staleTimer ??= setTimeout(giveBackStale, patience)
  }

  async function emptyTap(tap: Tap): Promise<void> {
    await taps.close(tap)
    giveBack((one) => one.sub.tap === tap)
    openSoon() // credit that was given meanwhile found it being closed
  }

  function giveBack(which: (one: RabbitDelivery) => boolean): void {
    const mine = home?.acks
    if (!mine) return
    for (const one of ready.remove(which)) move(mine, () => one.putBack({ suspect: one.suspect }))
  }

  /** Nobody waits for it, so it is tried until it is done or the channel is gone. */
  function move(mine: Acks, work: () => Promise<void>): void {
    const moving = (async () => {
      while (mine.alive && !givenUp) {
        try {
          await work()
          break
        } catch (error) {
          if (!mine.alive) break
          log('warn', `A job of "${o.queue}" could not be moved: ${messageOf(error)}. Trying again.`)
          await sleep(GIVE_BACK_AGAIN)
        }
      }
      if (mine === home?.acks) openSoon()
    })()
    moves.add(moving)
    void moving.finally(() => moves.delete(moving))
  }

  async function closeTaps(): Promise<void> {
    await taps.quiet()
    await Promise.all(taps.all.map((tap) => taps.close(tap)))
  }

  await parts.declare({ again: false })
  addTaps()
  const offUp = link.onUp(up)
  const offTaps = parts.onTaps(() => {
    addTaps()
    openSoon()
  })

  return {
    closed,
    setPrefetch(n) {
      prefetch = n
      if (n === 0) {
        setTimeout(() => {
          if (prefetch === 0 && !stopped) for (const tap of taps.all) void emptyTap(tap)
        }, STALE_WHEN_CLOSED)
        return
      }
      hand()
      openSoon()
    },
    async stop() {
      if (stopped) {
        await closed
        return
      }
      stopped = true
      offUp()
      offTaps()
      clearTimeout(staleTimer)
      await closeTaps()
      for (const [delivery, timer] of early) {
        clearTimeout(timer)
        keep(delivery)
      }
      early.clear()
      giveBack(() => true)
      await answered(Promise.all(moves), GIVE_BACK_WITHIN).catch(() => (givenUp = true))
      tellClosed(undefined)
      closeWhenEmpty()
    },
  }
}

function crashError(delivery: RabbitDelivery) {
  return {
    name: 'Error',
    message: `The process that ran it died ${delivery.crashes} times.`,
    at: Date.now(),
  }
}
