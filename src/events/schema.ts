// How a copy of an event becomes what a subscriber receives: read as a CloudEvent, and its payload parsed by the schema of the
// event of that name.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { messageOf } from '../core/cloud-event.js'
import { hasCode, messageOf as textOf } from '../core/errors.js'
import { OWN_SOURCE, type Event, type Message } from '../core/event.js'
import { newId } from '../core/id.js'

type Result = StandardSchemaV1.Result<Message>

/**
 * A schema of messages. It takes a CloudEvent, which is what travels; and for tests a message of which all but the payload
 * may be left out: `{ payload }`. A payload of an event whose definition is not known is passed on unchecked.
 */
export function messageSchema(events: readonly Event[]): StandardSchemaV1<unknown, Message> {
  const byName = new Map(events.map((event) => [event.name, event]))

  function validate(value: unknown): Result | Promise<Result> {
    let message: Message
    try {
      message = isCloudEvent(value) ? messageOf(value) : givenMessage(value, events)
    } catch (error) {
      if (hasCode(error, 'ERR_VALIDATION')) return { issues: [{ message: textOf(error) }] }
      throw error
    }
    const event = byName.get(message.name)
    if (!event) return { value: message }
    const schema = event['~payload']
    if (!schema) {
      if (message.payload === undefined || message.payload === null)
        return { value: { ...message, payload: undefined } }
      return { issues: [{ path: ['payload'], message: 'nothing is expected here' }] }
    }
    const checked = schema['~standard'].validate(message.payload)
    return 'then' in checked
      ? Promise.resolve(checked).then((result) => withPayload(message, result))
      : withPayload(message, checked)
  }

  return { '~standard': { version: 1, vendor: 'millrace', validate } }
}

function withPayload(message: Message, result: StandardSchemaV1.Result<unknown>): Result {
  if (result.issues === undefined) return { value: { ...message, payload: result.value } }
  return { issues: result.issues.map((issue) => ({ ...issue, path: ['payload', ...(issue.path ?? [])] })) }
}

function isCloudEvent(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'specversion' in value
}

function givenMessage(value: unknown, events: readonly Event[]): Message {
  const given = (typeof value === 'object' && value !== null ? value : {}) as Partial<Omit<Message, 'time'>> & {
    time?: Date | string
  }
  return {
    id: given.id ?? newId(),
    name: given.name ?? events[0]?.name ?? 'event',
    payload: given.payload,
    time: new Date(given.time ?? Date.now()),
    source: given.source ?? OWN_SOURCE,
    ...(given.subject !== undefined && { subject: given.subject }),
    ...(given.extensions !== undefined && { extensions: given.extensions }),
  }
}
