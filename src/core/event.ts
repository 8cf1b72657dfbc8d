// Events: the contract between who publishes and who subscribes. Pure, so that a web bundle may import it.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ConfigurationError, ValidationError, shown } from './errors.js'
import { checkKey } from './name.js'
import { asSchema, refuseUnknown } from './task.js'
import type { Wire } from './wire.js'

/** A named fact with a payload. `Send` is what travels (JSON), `Payload` what the subscriber's schema made of it. */
export interface Event<Name extends string = string, Send = any, Payload = any> {
  kind: 'event'
  name: Name
  '~types'?: { send: Send; payload: Payload }
  /** Schema of the payload; without one there is no payload. */
  '~payload'?: StandardSchemaV1
}

/** An event as a subscriber receives it. */
export interface Message<Name extends string = string, P = unknown> {
  /** Given by the publisher, or a UUIDv7. Unique together with `source`. */
  id: string
  name: Name
  payload: P
  /** When it happened, as the publisher says. */
  time: Date
  /** Who published it: `millrace` for a client of this store, else what a CloudEvent said. */
  source: string
  /** What it is about, within its source. */
  subject?: string
  /** Further attributes of a CloudEvent that came from outside. */
  extensions?: Readonly<Record<string, string | number | boolean>>
}

/** The message of an event: `Message<'order.paid', { … }>`. */
export type MessageOf<E> = E extends Event<infer N, any, infer P> ? Message<N, P> : never

/** The longest name of an event, in characters. */
const LONGEST_NAME = 200
const NAME = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/
/** The longest id that a publisher may choose: with a subscription's name behind it, it must fit a job id. */
const LONGEST_ID = 80
/** The longest name of a subscription or schedule: with a prefix it is the name of a queue. */
const LONGEST_SUBSCRIBER = 80

/**
 * The name of an event: 1 to 200 characters, tokens of letters, digits, `_` and `-` split by dots.
 * @throws ConfigurationError that shows the name
 */
export function checkEventName<N extends string>(name: N): N {
  if (typeof name === 'string' && name.length <= LONGEST_NAME && NAME.test(name)) return name
  throw new ConfigurationError(
    `The event name ${shown(name)} is not allowed. Use 1 to ${LONGEST_NAME} characters, tokens of letters, digits, _ and - split by dots, for example "order.paid".`,
  )
}

/** The id of an event that its publisher chose. @throws ValidationError */
export function checkEventId(id: string): string {
  checkKey('The event id', id)
  if (id.length <= LONGEST_ID) return id
  throw new ValidationError(
    `The event id has ${id.length} characters, and ${LONGEST_ID} are allowed. Hash longer ones: the same id again is the same event.`,
  )
}

/** The name of a subscription or schedule. @throws ConfigurationError */
export function checkSubscriberName(what: 'subscription' | 'schedule', name: unknown): string {
  if (typeof name === 'string' && name.length <= LONGEST_SUBSCRIBER && /^[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(name))
    return name
  throw new ConfigurationError(
    `The ${what} name ${shown(name)} is not allowed. Use 1 to ${LONGEST_SUBSCRIBER} letters, digits and . _ : - and begin with a letter or digit, for example "send-receipt".`,
  )
}

/**
 * Define an event: its name and the schema of its payload. Hold it in a file that publishers and subscribers import.
 * @throws ConfigurationError for a name or option that is not allowed
 */
export function defineEvent<const N extends string, P extends StandardSchemaV1 = StandardSchemaV1<void>>(
  name: N,
  options: { payload?: P & Wire<StandardSchemaV1.InferInput<P>> } = {},
): Event<N, StandardSchemaV1.InferInput<P>, StandardSchemaV1.InferOutput<P>> {
  checkEventName(name)
  refuseUnknown(`defineEvent("${name}")`, options, ['payload'])
  const payload = asSchema(options.payload, `defineEvent("${name}"): payload`)
  return { kind: 'event', name, ...(payload && { '~payload': payload }) }
}

/** @throws ConfigurationError for what `defineEvent` did not make */
export function checkEvent(event: Event): Event {
  if (event?.kind === 'event' && typeof event.name === 'string') return event
  throw new ConfigurationError(
    `An event made by defineEvent() is expected, not ${shown(event)}. Import the event, and check that its file exports it.`,
  )
}

/** The task name of a subscription's copies, and its own queue's name. */
export const subscriptionTask = (subscription: string): string => `on:${subscription}`

/** The source of events that clients publish. */
export const OWN_SOURCE = 'millrace'
