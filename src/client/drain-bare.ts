// How jobs leave a broker that remembers nothing: by way of a consumer. A job is held as long as this process lives and has
// its delivery in hand; afterwards it is back in its queue. So a job may be published elsewhere and come back here as well,
// if the process is killed between the two; a destination that remembers takes it for the same job in the next run.
import { REPLY_HEADER, type Envelope } from '../core/envelope.js'
import { ConfigurationError } from '../core/errors.js'
import { newId } from '../core/id.js'
import { ticketOf } from '../driver/compose/handing.js'
import type { Consumer, Delivery, Driver } from '../driver/driver.js'
import { leavingEnvelope, type Leaving } from '../driver/leaving.js'

/** Between two looks at a queue that seems to be empty. */
const LOOK_EVERY = 100
/** For how long more is waited for when some have come. */
const PATIENCE = 25
/** So many looks in a row must find nothing: what is on its way is not counted by every broker. */
const QUIET_LOOKS = 3

interface Hand {
  readonly consumer: Consumer
  /** By the id of its job. */
  readonly inHand: Map<string, readonly Delivery<any>[]>
  readonly arrived: Delivery<any>[]
}

export function leavingByConsumer({ broker, events }: Driver<any>): { leaving: Leaving; end(): Promise<void> } {
  const worker = newId()
  const hands = new Map<string, Hand>()

  async function handOn(queue: string): Promise<Hand> {
    const known = hands.get(queue)
    if (known) return known
    // The broker gives copies of events only to who has declared their subscription.
    for (const one of (await events?.subscriptions()) ?? []) if (one.queue === queue) await events?.declare(one)
    const arrived: Delivery<any>[] = []
    const consumer = await broker.consume({ queue, worker, prefetch: 0, onDelivery: (one) => void arrived.push(one) })
    const hand: Hand = { consumer, arrived, inHand: new Map() }
    hands.set(queue, hand)
    return hand
  }

  async function letGo({ inHand }: Hand, ids: readonly string[]): Promise<number> {
    const there = ids.filter((id) => inHand.has(id))
    for (const id of there) {
      for (const delivery of inHand.get(id)!) await delivery.release({ why: 'stop' })
      inHand.delete(id)
    }
    return there.length
  }

  const leaving: Leaving = {
    async hold({ queue, limit }) {
      const hand = await handOn(queue)
      hand.consumer.setPrefetch(hand.inHand.size + limit)
      for (let quiet = 0; hand.arrived.length < limit && quiet < QUIET_LOOKS;) {
        const before = hand.arrived.length
        await new Promise((resolve) => setTimeout(resolve, before > 0 ? PATIENCE : LOOK_EVERY))
        if (hand.arrived.length > before) continue
        // A broker may hand over the next one only when the one before it is settled: suspects, for example.
        if (before > 0) break
        const { ready } = await broker.stats({ queue })
        quiet = ready === 0 && hand.arrived.length === 0 ? quiet + 1 : 0
      }
      const taken = hand.arrived.splice(0, limit)
      for (const delivery of taken) keep(hand, delivery)
      return taken.map(({ envelope }) => leavingFrom(envelope, envelope.enqueuedAt))
    },
    held: async () => ({ envelopes: [] }),
    async gone({ queue, ids }) {
      const { inHand } = await handOn(queue)
      await Promise.all(ids.flatMap((id) => inHand.get(id)?.map((one) => one.ack({ elsewhere: true })) ?? []))
      for (const id of ids) inHand.delete(id)
    },
    giveBack: async ({ queue, ids }) => letGo(await handOn(queue), ids),
  }

  return {
    leaving,
    async end() {
      for (const hand of hands.values()) {
        await hand.consumer.stop()
        for (const delivery of hand.arrived.splice(0)) keep(hand, delivery)
        await letGo(hand, [...hand.inHand.keys()])
      }
      hands.clear()
    },
  }
}

/** A broker without memory may have the same job twice. */
function keep({ inHand }: Hand, delivery: Delivery<any>): void {
  const { id } = delivery.envelope
  inHand.set(id, [...(inHand.get(id) ?? []), delivery])
}

/**
 * The envelope as it goes elsewhere, where nobody waits for an answer any more.
 * @throws ConfigurationError for a message of a pair: its job is in the books of a store
 */
export function leavingFrom(envelope: Envelope, dueAt: number): Envelope {
  if (ticketOf(envelope) !== undefined)
    throw new ConfigurationError(
      `Job ${envelope.id} in the broker is in the books of a store: name that store, too (--from-store). A broker that gets a ` +
        'store needs no drain: workers connected with both take over what waits. Two pairs on one broker need two namespaces.',
    )
  const { [REPLY_HEADER]: _reply, ...headers } = envelope.headers
  return leavingEnvelope({ envelope: { ...envelope, headers }, queue: envelope.queue, dueAt, holdsKey: true })
}
