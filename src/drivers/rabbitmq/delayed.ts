// Taking delayed jobs out of the network of delay queues (topology.ts), to move them elsewhere. Its queues are ordinary ones,
// so consumers can take from them; a message tells its queue by its routing key, and the time it is due by a header.
import type { ConsumeMessage } from 'amqplib'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Envelope } from '../../core/envelope.js'
import type { Delayed, DelayedTaking } from '../../driver/delayed.js'
import { leavingEnvelope } from '../../driver/leaving.js'
import { refusalOf, unavailable } from './errors.js'
import type { Link, Live } from './link.js'
import { isForeign, unpack } from './message.js'
import { onOwnChannel } from './probe.js'
import { DELAY_LEVELS, type Names } from './topology.js'

/** For each level, and again when so many are in hand that nobody has asked for. */
const PREFETCH = 200
/** Between two looks at what is left. */
const LOOK_EVERY = 100
/** So many looks in a row must find nothing: what goes from one level to the next is counted in neither. */
const QUIET_LOOKS = 3
/** So many looks at messages that do not come. */
const MOST_LOOKS = 100

export interface DelayedParts {
  names(): Names
  readonly link: Link
  /** Milliseconds for what is not done in one step. */
  within(): number
}

export function createDelayed(o: DelayedParts): Delayed {
  return {
    count: () =>
      o.link.use({ within: o.within() }, async ({ connection }) => sum(await readyAt(connection, o.names()))),
    async take({ queues }) {
      const letGo = o.link.hold()
      try {
        const live = await o.link.open({ within: o.within() })
        const levels = (await readyAt(live.connection, o.names())).length
        return await startTaking({ names: o.names(), live, levels, queues, letGo })
      } catch (error) {
        letGo()
        throw error
      }
    },
  }
}

/** How many messages each level has ready; empty where there is no network yet. */
async function readyAt(connection: Live['connection'], names: Names): Promise<number[]> {
  const found: number[] = []
  try {
    await onOwnChannel(connection, async (channel) => {
      while (found.length < DELAY_LEVELS) found.push((await channel.checkQueue(names.delay(found.length))).messageCount)
    })
  } catch (error) {
    if (refusalOf(error)?.code !== 404) throw error
  }
  return found
}

/** A consumer of RabbitMQ on one level. */
interface Sub {
  readonly level: number
  inHand: number
}

interface Taken {
  readonly message: ConsumeMessage
  readonly sub: Sub
}

async function startTaking(o: {
  readonly names: Names
  readonly live: Live
  readonly levels: number
  readonly queues: readonly string[]
  letGo(): void
}): Promise<DelayedTaking> {
  const channel = await o.live.connection.createChannel()
  const subs: Sub[] = []
  let arrived: Envelope[] = []
  /** By job. The same one may be here twice, as whoever put it there may have been killed over it. */
  const inHand = new Map<string, Taken[]>()
  let lost: string | undefined
  const over = new Promise<void>((resolve) => {
    channel.on('error', (error: Error) => (lost ??= error.message))
    channel.on('close', () => {
      lost ??= 'The channel was closed.'
      resolve()
    })
  })

  async function open(level: number): Promise<void> {
    const sub: Sub = { level, inHand: 0 }
    subs.push(sub)
    await channel.prefetch(PREFETCH, false)
    await channel.consume(o.names.delay(level), (message) => {
      if (message) got(message, sub)
      else lost ??= `The queue "${o.names.delay(level)}" was deleted.`
    })
  }

  function got(message: ConsumeMessage, sub: Sub): void {
    sub.inHand += 1
    const envelope = delayedIn(message, sub.level)
    // What is for others, or is no job, stays in hand until the end.
    if (!envelope || !o.queues.includes(envelope.queue)) return
    const same = inHand.get(envelope.id)
    if (same) return void same.push({ message, sub })
    inHand.set(envelope.id, [{ message, sub }])
    arrived.push(envelope)
  }

  const check = () => {
    if (lost !== undefined) throw unavailable(`Delayed jobs could not be taken any more: ${lost}`, undefined)
  }

  async function ready(): Promise<number> {
    let n = 0
    for (let level = 0; level < o.levels; level++) n += (await channel.checkQueue(o.names.delay(level))).messageCount
    return n
  }

  /** All that a level may give is in hand: it may give more. */
  async function openFull(): Promise<void> {
    for (let level = 0; level < o.levels; level++)
      if (subs.every((one) => one.level !== level || one.inHand >= PREFETCH)) await open(level)
  }

  let ending: Promise<void> | undefined
  async function end(): Promise<void> {
    // RabbitMQ puts back what is not acknowledged.
    if (lost === undefined) await Promise.race([channel.close().catch(() => {}), over])
    o.letGo()
  }

  try {
    for (let level = 0; level < o.levels; level++) await open(level)
  } catch (error) {
    await end()
    throw error
  }
  return {
    async next({ limit }) {
      for (let [quiet, looks] = [0, 0]; arrived.length < limit && quiet < QUIET_LOOKS && o.levels > 0;) {
        const before = arrived.length
        await sleep(LOOK_EVERY)
        check()
        if (arrived.length > before) continue
        await openFull()
        const left = await ready()
        quiet = left === 0 && arrived.length === before ? quiet + 1 : 0
        if (++looks >= MOST_LOOKS) break
      }
      check()
      const taken = arrived.slice(0, limit)
      arrived = arrived.slice(limit)
      return taken
    },
    async gone({ ids }) {
      for (const id of ids) {
        for (const { message, sub } of inHand.get(id) ?? []) {
          check()
          channel.ack(message)
          sub.inHand -= 1
        }
        inHand.delete(id)
      }
      // Its answer comes behind what was acknowledged.
      if (o.levels > 0) await channel.checkQueue(o.names.delay(0))
    },
    end: () => (ending ??= end()),
  }
}

/** The job of a message in the network; `undefined`: it is none. */
function delayedIn(message: ConsumeMessage, level: number): Envelope | undefined {
  const words = message.fields.routingKey.split('.')
  const [kind, ...queue] = words.slice(DELAY_LEVELS)
  const job = unpack(message, queue.join('.'), kind === 'high' ? 9 : kind === 'low' ? 0 : 4)
  if (queue.length === 0 || isForeign(job)) return undefined
  // Without our header it may have to wait on this level as long as it is, and on all below that its key tells.
  const seconds = parseInt(words.slice(DELAY_LEVELS - 1 - level, DELAY_LEVELS).join(''), 2)
  const dueAt = job.envelope.notBefore ?? Date.now() + (Number.isNaN(seconds) ? 0 : seconds * 1000)
  return leavingEnvelope({ envelope: job.envelope, queue: job.envelope.queue, dueAt, holdsKey: true })
}

const sum = (counts: readonly number[]) => counts.reduce((all, one) => all + one, 0)
