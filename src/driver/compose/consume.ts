// Consuming from a pair: what arrives from the broker is started in the store, and only then in the worker's hands.
import { messageOf } from '../../core/errors.js'
import type { Broker, ConnectOptions, ConsumeOptions, Consumer, Delivery } from '../driver.js'
import type { Arrival, Ledger } from '../ledger.js'
import { PairDelivery, type PairHolder } from './delivery.js'
import { saysSuspect, ticketOf, withoutTicket } from './handing.js'
import { PlainDelivery, runsPlain, type PlainHolder } from './plain.js'
import type { Presence } from './presence.js'
import type { Sweep } from './sweep.js'

/** How long a message waits here for credit before it goes back to the broker, for others to take. */
const PATIENCE = 100
/** The same for a suspect that waits for the one before it. */
const SUSPECT_PATIENCE = 1_000
/** Suspects that wait here beside the credit. */
const MOST_SUSPECTS = 500
/** A suspect of which the message did not say so. */
const SUSPECT_DELAY = 1_000

interface Waiting {
  readonly message: Delivery<any>
  readonly ticket: number | undefined
  /** By the store's word where it knows the job, else by the broker's. */
  readonly suspect: boolean
  readonly since: number
}

export interface Pair<Tx> {
  readonly ledger: Ledger<Tx>
  readonly broker: Broker<any>
  readonly presence: Presence
  readonly sweep: Sweep
  readonly log: ConnectOptions['log']
  /** With `history: 'final'`: what most deliveries need, of which only the end is written. */
  readonly plain?: Omit<PlainHolder, 'left'>
}

export async function consumePair<Tx>(pair: Pair<Tx>, o: ConsumeOptions<Tx>): Promise<Consumer> {
  /** By job: in the worker's hands. */
  const inHand = new Map<string, PairDelivery<Tx>>()
  /** Those of which the store knows nothing yet. */
  const plain = new Set<PlainDelivery>()
  /** They came, and wait for credit. */
  let arrived: Waiting[] = []
  /** Suspects, each of which waits until the one before it has been settled. */
  let suspects: Waiting[] = []
  let suspect: string | undefined
  let [prefetch, starting, orphans, told] = [o.prefetch, 0, 0, 0]
  let [soon, stopped] = [false, false]
  let patience: NodeJS.Timeout | undefined
  let consumer: Consumer | undefined
  const idle: (() => void)[] = []

  const swept = pair.sweep.begin(o.worker)
  const presence = pair.presence.watch(o.worker, (is) => {
    if (is === present) return
    present = is
    if (!is) giveBackAll()
    changed()
  })
  let present = presence.present

  const holder: PairHolder = {
    left(delivery) {
      const { id } = delivery.envelope
      if (inHand.get(id) === delivery) inHand.delete(id)
      if (delivery.orphan) orphans -= 1
      if (suspect === id) suspect = undefined
      changed()
    },
    orphaned() {
      orphans += 1
      tell()
    },
    waits: (ms) => pair.sweep.dueIn(ms),
  }

  const plainHolder = pair.plain && {
    ...pair.plain,
    left(delivery: PlainDelivery) {
      plain.delete(delivery)
      changed()
    },
  }

  /** What waits here is in our hands by the broker's count, and what came over a link that was lost is not. */
  function tell(): void {
    const open = present && !stopped && prefetch > 0
    const n = open ? Math.max(0, prefetch - orphans + Math.min(MOST_SUSPECTS, suspects.length)) : 0
    if (n === told || !consumer) return
    told = n
    consumer.setPrefetch(n)
  }

  function changed(): void {
    tell()
    if (arrived.length + suspects.length > 0) flushSoon()
  }

  function onMessage(message: Delivery<any>): void {
    const { envelope } = message
    const ticket = ticketOf(envelope)
    const own = inHand.get(envelope.id)
    // It comes again, for the link was cut while its job runs here. A newer one says that the job was taken from us.
    if (own && (ticket ?? 0) <= own.ticket) drop(message)
    else if (stopped || !present) giveBack(message)
    else {
      const isSuspect = ticket === undefined ? message.suspect : saysSuspect(envelope)
      arrived.push({ message, ticket, suspect: isSuspect, since: performance.now() })
      flushSoon()
    }
  }

  /** One call to the store for all that comes in this turn of the event loop. */
  function flushSoon(): void {
    if (soon) return
    soon = true
    setImmediate(flush)
  }

  function flush(): void {
    soon = false
    if (stopped || !present) return giveBackAll()
    const batch: Waiting[] = []
    const known: Delivery<any>[] = []
    let room = prefetch - inHand.size - plain.size - starting
    if (suspects.length > 0) room -= takeSuspect(batch, room)
    const rest: Waiting[] = []
    for (const one of arrived) {
      if (one.suspect) {
        suspects.push(one)
        room -= takeSuspect(batch, room)
      } else if (room > 0) {
        room -= 1
        if (plainHolder && runsPlain(one.message)) known.push(one.message)
        else batch.push(one)
      } else rest.push(one)
    }
    arrived = rest
    if (arrived.length + suspects.length > 0) patience ??= setTimeout(giveBackStale, PATIENCE)
    tell()
    if (batch.length > 0) void start(batch)
    for (const message of known) handPlain(message, plainHolder!)
  }

  function handPlain(message: Delivery<any>, to: PlainHolder): void {
    const delivery = new PlainDelivery(message, to)
    plain.add(delivery)
    o.onDelivery(delivery)
  }

  /** The next suspect, if none is under way. How many that were. */
  function takeSuspect(batch: Waiting[], room: number): number {
    if (suspect !== undefined || room <= 0) return 0
    const next = suspects.shift()!
    suspect = next.message.envelope.id
    batch.push(next)
    return 1
  }

  async function start(batch: readonly Waiting[]): Promise<void> {
    starting += batch.length
    try {
      const started = await held.start(batch.map(arrival))
      starting -= batch.length
      batch.forEach((one, i) => hand(one, started[i]))
    } catch (error) {
      starting -= batch.length
      for (const { message } of batch) if (suspect === message.envelope.id) suspect = undefined
      notStarted(batch, error)
    }
    for (const done of idle.splice(0)) done()
    changed()
  }

  function hand({ message, ticket }: Waiting, own: Delivery<Tx> | undefined): void {
    const { id } = message.envelope
    const isNext = suspect === id
    if (!own) {
      if (isNext) suspect = undefined
      return drop(message)
    }
    const delivery = new PairDelivery(own, message, ticket ?? 0, holder)
    inHand.set(id, delivery)
    if (isNext && !own.suspect) suspect = undefined
    else if (own.suspect && !isNext) {
      if (suspect !== undefined) return refuse(delivery, SUSPECT_DELAY)
      suspect = id
    }
    if (stopped) refuse(delivery, 0)
    else o.onDelivery(delivery)
  }

  function refuse(delivery: PairDelivery<Tx>, delay: number): void {
    void delivery.release({ delay, why: 'stop' }).catch((error: unknown) => {
      pair.log('warn', `Job ${delivery.envelope.id} could not be given back: ${messageOf(error)}`)
    })
  }

  /** Back to the broker, and nothing more is taken until the next beat has reached the store. */
  function notStarted(batch: readonly Waiting[], error: unknown): void {
    for (const { message } of batch) giveBack(message)
    if (present && !stopped) pair.log('warn', `Jobs are not started before the next beat: ${messageOf(error)}`)
    present = false
    giveBackAll()
  }

  /** What waited too long for credit goes back to the broker. */
  function giveBackStale(): void {
    patience = undefined
    const now = performance.now()
    const isOld = ({ since }: Waiting) => now - since >= PATIENCE
    const isTooOld = ({ since }: Waiting) => prefetch === 0 || now - since >= SUSPECT_PATIENCE
    for (const { message } of [...arrived.filter(isOld), ...suspects.filter(isTooOld)]) giveBack(message)
    arrived = arrived.filter((one) => !isOld(one))
    suspects = suspects.filter((one) => !isTooOld(one))
    if (arrived.length + suspects.length > 0) patience = setTimeout(giveBackStale, PATIENCE)
    tell()
  }

  function giveBackAll(): void {
    for (const { message } of [...arrived, ...suspects]) giveBack(message)
    arrived = []
    suspects = []
  }

  const held = await pair.ledger.hold({ queue: o.queue, worker: o.worker }).catch((error: unknown) => {
    swept.end()
    presence.end()
    throw error
  })
  async function end(): Promise<void> {
    stopped = true
    tell()
    clearTimeout(patience)
    presence.end()
    swept.end()
    giveBackAll()
    await consumer?.stop()
    giveBackAll() // what was on its way
    while (starting > 0) await new Promise<void>((resolve) => idle.push(resolve))
    await held.stop()
  }
  let stopping: Promise<void> | undefined
  try {
    consumer = await pair.broker.consume({ queue: o.queue, worker: o.worker, prefetch: 0, onDelivery: onMessage })
  } catch (error) {
    await end()
    throw error
  }
  tell()
  const { closed } = consumer
  return {
    closed,
    setPrefetch(n) {
      prefetch = n
      changed()
    },
    stop: () => (stopping ??= end()),
  }
}

const arrival = ({ message: { envelope, run, attempt, suspect }, ticket }: Waiting): Arrival => {
  if (ticket !== undefined) return { envelope: withoutTicket(envelope), ticket }
  return { envelope, course: { run: run - 1, attempts: attempt - 1, suspect } }
}

/** Nobody needs it: its job has ended, was handed over again, or is in a worker's hands. */
const drop = (message: Delivery<any>) => void message.ack().catch(() => {})
/** Whatever fails here, the broker gives it to others when the link ends. */
const giveBack = (message: Delivery<any>) => void message.release({ why: 'stop' }).catch(() => {})
