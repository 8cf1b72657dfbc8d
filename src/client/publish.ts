// From an event and a payload to every subscription: validate, encode, keep. With `tx` all of it happens before the call
// returns, and errors are thrown rather than returned, so that a synchronous transaction rolls back.
import { createHash } from 'node:crypto'
import { cloudEventText, type CloudEventAttributes, type CloudEventData } from '../core/cloud-event.js'
import { encode } from '../core/codec.js'
import type { HeaderMap } from '../core/envelope.js'
import { ConfigurationError, ValidationError, hasCode } from '../core/errors.js'
import { OWN_SOURCE, checkEvent, checkEventId, checkEventName, type Event } from '../core/event.js'
import { newId } from '../core/id.js'
import { check, validationError, type Checked } from '../core/schema.js'
import { refuseUnknown } from '../core/task.js'
import type { EventEnvelope } from '../driver/events.js'
import { headersOf, type Parent } from './headers.js'
import type { Session } from './session.js'
import type { Producer, PublishOptions } from './types.js'

const KNOWN = ['id', 'subject', 'time', 'headers', 'tx']
const MAX_SUBJECT = 200

export function createPublisher<Tx>(session: Session<Tx>, parent?: Parent): Pick<Producer<Tx>, 'publish'> {
  function build(event: Event, payload: unknown, o: PublishOptions<any>): { id: string; envelope: EventEnvelope } {
    const id = o.id === undefined ? newId() : checkEventId(o.id)
    const json = encode(payload, `Payload of event "${event.name}"`)
    const headers = headersOf(o.headers, parent)
    const attributes = {
      id,
      source: OWN_SOURCE,
      type: event.name,
      subject: subjectOf(o.subject),
      time: timeOf(o.time, session.around.now()),
      datacontenttype: json === '' ? undefined : 'application/json',
      extensions: traceOf(headers),
    }
    const envelope = eventEnvelope(session, attributes, json === '' ? undefined : { json }, headers)
    return { id, envelope }
  }

  return {
    publish(event: Event, ...[payload, options = {}]: any[]) {
      const o = options as PublishOptions<any>
      const answer = (id: string) => (receipts: readonly { readonly duplicate: boolean }[]) => ({
        id,
        duplicate: receipts[0]!.duplicate,
      })
      if (o.tx !== undefined) {
        checkCall(event, o)
        const { id, envelope } = build(event, validNow(event, payload), o)
        return session
          .opened()
          .events.publish({ events: [envelope], tx: o.tx as Tx })
          .then(answer(id))
      }
      return (async () => {
        checkCall(event, o)
        passed(event, await check(event['~payload'], payload))
        const { id, envelope } = build(event, payload, o)
        const { events } = await session.open()
        return answer(id)(await events.publish({ events: [envelope] }).catch((error: unknown) => named(error, id)))
      })()
    },
  }
}

/**
 * An event for the driver. Its id in the store is that of the event where the source is this store's own; an event of another
 * source has a hash of that source behind its id, since only both together are unique.
 */
export function eventEnvelope(
  session: Session<any>,
  attributes: CloudEventAttributes,
  data: CloudEventData | undefined,
  headers: HeaderMap,
): EventEnvelope {
  return {
    id: storedId(attributes.id, attributes.source),
    name: checkEventName(attributes.type),
    body: cloudEventText(attributes, data),
    headers,
    publishedAt: session.around.now(),
    keep: session.keep,
  }
}

/** The id in the store of an event with this id and source. */
export function storedId(id: string, source: string): string {
  if (source === OWN_SOURCE) return checkEventId(id)
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  try {
    return `${checkEventId(id)}~${hash(source).slice(0, 12)}`
  } catch {
    return `~${hash(`${source}\n${id}`).slice(0, 40)}` // too long, or with characters that no store takes
  }
}

/** The trace of a publisher, as the extension that CloudEvents has for it. */
export function traceOf(headers: HeaderMap): Record<string, string> {
  const { traceparent, tracestate } = headers
  return { ...(traceparent !== undefined && { traceparent }), ...(tracestate !== undefined && { tracestate }) }
}

/** Whoever tries again with this id is on the safe side. */
function named(error: unknown, id: string): never {
  if (hasCode(error, 'ERR_BROKER_UNAVAILABLE')) Object.assign(error as object, { ids: [id] })
  throw error
}

function checkCall(event: Event, o: PublishOptions<any>): void {
  checkEvent(event)
  refuseUnknown(`publish("${event.name}")`, o, KNOWN)
}

function validNow(event: Event, payload: unknown): unknown {
  const checked = check(event['~payload'], payload)
  if (checked instanceof Promise) {
    checked.catch(() => {})
    throw new ValidationError(
      `The payload schema of event "${event.name}" is asynchronous, which a call with { tx } cannot wait for. Use a synchronous schema.`,
    )
  }
  passed(event, checked)
  return payload
}

function passed(event: Event, checked: Checked): void {
  if ('issues' in checked) throw validationError(`Payload of event "${event.name}"`, checked.issues)
}

function subjectOf(subject: string | undefined): string | undefined {
  if (subject === undefined || (typeof subject === 'string' && subject.length > 0 && subject.length <= MAX_SUBJECT))
    return subject
  throw new ConfigurationError(`subject: ${JSON.stringify(subject)} is no text of 1 to ${MAX_SUBJECT} characters.`)
}

function timeOf(time: Date | undefined, now: number): string {
  const at = time === undefined ? now : time instanceof Date ? time.getTime() : Number.NaN
  if (Number.isNaN(at)) throw new ConfigurationError(`time: ${String(time)} is no valid Date.`)
  return new Date(at).toISOString()
}
