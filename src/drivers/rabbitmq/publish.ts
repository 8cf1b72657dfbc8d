// Publishing with confirms: a bounded window of messages that the broker has not confirmed yet, behind it a line of those
// that wait. A publish fails inside its time-out, and says honestly whether something may have reached the broker.
import type { ConfirmChannel, Message, Options } from 'amqplib'
import { BrokerUnavailableError, MillraceError, PayloadTooLargeError, messageOf } from '../../core/errors.js'
import { refusalOf } from './errors.js'
import type { Link, Live } from './link.js'
import { LARGEST_BODY, largeHeaders, largeMessage } from './message.js'

/** A message and where it goes. */
export interface Outgoing {
  readonly exchange: string
  readonly key: string
  readonly content: Buffer
  readonly options: Options.Publish
  /** Of the job, for errors. */
  readonly id: string
}

/** Messages that are made when they are written, so that the broker has the first while others are made. */
export interface Unmade {
  /** Of their jobs. */
  readonly ids: readonly string[]
  /** Must not throw: what cannot be sent is to be refused before. */
  make(place: number): Outgoing
}

export interface Publisher {
  /**
   * Resolves when the broker has confirmed all of them. Without `mandatory`, a message that no queue takes is dropped.
   * @throws BrokerUnavailableError, UnroutedError, PayloadTooLargeError
   */
  send(
    messages: readonly Outgoing[] | Unmade,
    o?: {
      readonly mandatory?: boolean
      /** Milliseconds; default: the time-out of publishing. */
      readonly within?: number
    },
  ): Promise<void>
  /** Runs with each channel that is opened, before anything is sent on it. */
  onChannel(prepare: (channel: ConfirmChannel) => Promise<void>): void
  /** Resolves when there is a channel. */
  ready(): Promise<ConfirmChannel>
  /** Ends what is under way, after the last confirms have come or their time is over. */
  close(): Promise<void>
}

/** Messages that no queue took, by their place in the call. */
export class UnroutedError extends Error {
  readonly places: readonly number[]
  constructor(places: readonly number[]) {
    super('No queue took the message.')
    this.places = places
  }
}

const SWEEP_EVERY = 25
/** A call ends a little before its time, so that its caller hears of it inside. */
const MARGIN = 50

/** One `send`. */
interface Call {
  readonly ids: readonly string[]
  readonly make: (place: number) => Outgoing
  /** Those that are written. */
  readonly messages: Outgoing[]
  readonly mandatory: boolean
  /** Place of the first that is not written. */
  next: number
  left: number
  readonly deadline: number
  /** At the places of those that are confirmed: 1. A call with one message needs none. */
  readonly done: Uint8Array | undefined
  sent: boolean
  confirmed: boolean
  over: boolean
  unrouted: number[] | undefined
  nacked: boolean
  resolve(): void
  reject(error: Error): void
}

export function createPublisher(o: {
  readonly link: Link
  readonly window: number
  readonly timeout: () => number
  /** What the broker's closing of a channel means. */
  readonly refusal: (error: Error) => Error
}): Publisher {
  const { link } = o
  let channel: ConfirmChannel | undefined
  let opening: Promise<ConfirmChannel> | undefined
  const prepares: ((channel: ConfirmChannel) => Promise<void>)[] = []
  const calls = new Set<Call>()
  /** Those of which not all is written. */
  let waiting: Call[] = []
  let first = 0
  let unconfirmed = 0
  let full = false
  let sweeper: NodeJS.Timeout | undefined
  let letGo: (() => void) | undefined
  /** Returned messages whose confirm has not come yet. The broker sends it right behind. */
  const returned = new Map<string, number>()
  const idle: (() => void)[] = []
  /** Why the broker has closed the last channel, and whether there was just one call that it can be about. */
  let closedBy: { readonly error: Error; readonly alone: boolean } | undefined

  async function openChannel(live: Live): Promise<ConfirmChannel> {
    closedBy = undefined
    const mine = await live.connection.createConfirmChannel()
    mine.on('error', (error: Error) => {
      const hit = [...calls].filter((call) => call.sent)
      closedBy = { error: o.refusal(error), alone: hit.length === 1 }
    })
    mine.on('drain', () => {
      full = false
      pump()
    })
    mine.on('return', (message: Message) => {
      const key = keyOf(message.fields.exchange, message.fields.routingKey, message.properties.messageId as string)
      returned.set(key, (returned.get(key) ?? 0) + 1)
    })
    mine.on('close', () => {
      if (channel !== mine) return
      channel = undefined
      opening = undefined
      returned.clear()
      pump() // what waits goes on over the next one
    })
    for (const prepare of prepares) await prepare(mine)
    full = false
    channel = mine
    return mine
  }

  function ready(): Promise<ConfirmChannel> {
    if (channel) return Promise.resolve(channel)
    opening ??= link
      .use({ within: o.timeout() }, (live) => openChannel(live))
      .catch((error: unknown) => {
        opening = undefined
        throw error
      })
    return opening
  }

  function pump(): void {
    if (!channel) {
      if (first < waiting.length) void ready().then(pump, openFailed)
      return
    }
    while (unconfirmed < o.window && !full && link.blocked === undefined && channel) {
      const call = waiting[first]
      if (call === undefined) break
      const place = call.next++
      if (call.next === call.ids.length || call.over) first += 1
      if (!call.over) write(channel, call, place)
    }
    if (first === waiting.length || first > 1000) {
      waiting = first === waiting.length ? [] : waiting.slice(first)
      first = 0
    }
  }

  /** What does not mend by waiting ends who waits; else the next sweep tries again. */
  function openFailed(error: unknown): void {
    // A channel that could not be opened went with its connection, and the next one is dialled.
    if (!(error instanceof MillraceError)) return
    for (const call of calls) if (!call.sent) fail(call, error)
  }

  function write(to: ConfirmChannel, call: Call, place: number): void {
    const message = call.make(place)
    call.messages[place] = message
    const { options } = message
    if (call.mandatory) options.mandatory = true
    try {
      call.sent = true
      unconfirmed += 1
      full = !to.publish(message.exchange, message.key, message.content, options, (error: unknown) =>
        confirmed(call, place, error),
      )
    } catch (error) {
      // A channel that has just closed, or headers that fit no frame: nothing was written.
      unconfirmed -= 1
      if (channel !== to || /closed|closing/i.test(messageOf(error)))
        return fail(call, unavailable(call, `The connection to RabbitMQ was lost: ${messageOf(error)}`))
      fail(call, /exceeds|too large|frame/i.test(messageOf(error)) ? tooLarge(message) : (error as Error))
    }
  }

  function confirmed(call: Call, place: number, error: unknown): void {
    unconfirmed -= 1
    if (error === null) {
      if (returned.size > 0 && wasReturned(call.messages[place]!)) (call.unrouted ??= []).push(place)
      else {
        call.confirmed = true
        if (call.done) call.done[place] = 1
      }
    } else if (/nacked/.test(messageOf(error))) call.nacked = true
    else {
      if (!call.over) fail(call, notConfirmed(call))
      return
    }
    if (--call.left === 0 && !call.over) settle(call)
    if (first < waiting.length) pump()
  }

  function notConfirmed(call: Call): Error {
    if (!closedBy) return unavailable(call, 'The connection to RabbitMQ was lost before it confirmed.')
    const { error, alone } = closedBy
    if (alone && (error instanceof PayloadTooLargeError || refusalOf(error.cause)?.code === 403)) return error
    return unavailable(call, `RabbitMQ closed the channel before it confirmed. ${error.message}`)
  }

  function wasReturned({ exchange, key, options }: Outgoing): boolean {
    const name = keyOf(exchange, key, options.messageId ?? '')
    const times = returned.get(name)
    if (times === undefined) return false
    if (times === 1) returned.delete(name)
    else returned.set(name, times - 1)
    return true
  }

  function settle(call: Call): void {
    if (call.nacked)
      return fail(
        call,
        new BrokerUnavailableError(
          'RabbitMQ refused the message (basic.nack): its queue is full or has no leader. See: rabbitmqctl list_queues name messages state.',
          { outcome: call.confirmed ? 'unknown' : 'not-sent', ids: call.ids },
        ),
      )
    if (call.unrouted) return fail(call, new UnroutedError(call.unrouted))
    end(call)
    call.resolve()
  }

  function fail(call: Call, error: Error): void {
    if (call.over) return
    end(call)
    call.reject(
      error instanceof BrokerUnavailableError && error.ids.length === 0
        ? new BrokerUnavailableError(error.message, { outcome: outcomeOf(call), ids: idsOf(call), cause: error.cause })
        : error,
    )
  }

  function end(call: Call): void {
    call.over = true
    calls.delete(call)
    if (calls.size > 0) return
    clearInterval(sweeper)
    sweeper = undefined
    letGo?.()
    letGo = undefined
    for (const done of idle.splice(0)) done()
  }

  /** One timer for all that is under way. */
  function sweep(): void {
    const now = performance.now()
    for (const call of calls) {
      if (call.deadline > now) continue
      const why =
        link.blocked !== undefined
          ? `RabbitMQ takes no messages just now: ${link.blocked}. See: rabbitmqctl status`
          : link.live === undefined
            ? `RabbitMQ cannot be reached. ${link.trouble ?? ''}`.trim()
            : 'RabbitMQ did not confirm in time.'
      fail(call, unavailable(call, why))
    }
    if (!channel && calls.size > 0) pump()
  }

  return {
    ready,
    onChannel: (prepare) => void prepares.push(prepare),
    send(messages, { mandatory = false, within = o.timeout() } = {}) {
      const { ids, make } = isMade(messages) ? made(messages) : messages
      if (ids.length === 0) return Promise.resolve()
      const large = isMade(messages) && messages.find(({ content }) => content.length > LARGEST_BODY)
      if (large) return Promise.reject(tooLarge(large))
      return new Promise<void>((resolve, reject) => {
        const call: Call = {
          ids,
          make,
          messages: [],
          mandatory,
          next: 0,
          left: ids.length,
          deadline: performance.now() + Math.max(within - MARGIN, within / 2),
          done: ids.length > 1 ? new Uint8Array(ids.length) : undefined,
          sent: false,
          confirmed: false,
          over: false,
          unrouted: undefined,
          nacked: false,
          resolve,
          reject,
        }
        calls.add(call)
        sweeper ??= setInterval(sweep, SWEEP_EVERY)
        letGo ??= link.hold()
        waiting.push(call)
        pump()
      })
    },
    async close() {
      if (calls.size > 0) await new Promise<void>((resolve) => idle.push(resolve))
      // The channel ends with its connection: amqplib never answers the close of a channel whose connection is gone.
    },
  }
}

const keyOf = (exchange: string, key: string, id: string) => `${exchange} ${key} ${id}`

const outcomeOf = (call: Call) => (call.sent ? 'unknown' : 'not-sent')
/** Of what is not confirmed. */
const idsOf = ({ ids, done }: Call) => ids.filter((_, place) => !done?.[place])

const isMade = (messages: readonly Outgoing[] | Unmade): messages is readonly Outgoing[] => Array.isArray(messages)

const made = (messages: readonly Outgoing[]): Unmade => ({
  ids: messages.map(({ id }) => id),
  make: (place) => messages[place]!,
})

function unavailable(call: Call, message: string): BrokerUnavailableError {
  return new BrokerUnavailableError(message, { outcome: outcomeOf(call), ids: idsOf(call) })
}

function tooLarge({ content, id, options }: Outgoing): PayloadTooLargeError {
  const headers = JSON.stringify(options.headers ?? {}).length
  return headers > content.length ? largeHeaders(id, headers, 65_536) : largeMessage(id, content.length)
}
