// The form in which an event travels: a CloudEvent 1.0 in JSON, so that other services read and write the same.
// Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
import { decode } from './codec.js'
import { ValidationError } from './errors.js'
import type { Message } from './event.js'

/** The media type of the form. */
export const CLOUD_EVENT_TYPE = 'application/cloudevents+json'

/** The attributes of a CloudEvent. Extensions have names of lower case letters and digits. */
export interface CloudEventAttributes {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject?: string | undefined
  /** RFC 3339. */
  readonly time?: string | undefined
  readonly datacontenttype?: string | undefined
  readonly dataschema?: string | undefined
  readonly extensions?: Readonly<Record<string, string | number | boolean>> | undefined
}

/** Data as JSON text, as plain text, or as bytes in base64. */
export type CloudEventData = { readonly json: string } | { readonly text: string } | { readonly base64: string }

/** The CloudEvent as JSON text; data that is JSON already is not read again. */
export function cloudEventText(attributes: CloudEventAttributes, data: CloudEventData | undefined): string {
  const { id, source, type, subject, time, datacontenttype, dataschema, extensions = {} } = attributes
  const head = JSON.stringify({
    specversion: '1.0',
    id,
    source,
    type,
    subject,
    time,
    datacontenttype,
    dataschema,
    ...extensions,
  })
  if (data === undefined) return head
  const member =
    'json' in data
      ? `"data":${data.json}`
      : 'text' in data
        ? `"data":${JSON.stringify(data.text)}`
        : `"data_base64":${JSON.stringify(data.base64)}`
  return `${head.slice(0, -1)},${member}}`
}

const KNOWN = new Set('specversion id source type subject time datacontenttype dataschema data data_base64'.split(' '))

/**
 * The message of a CloudEvent, its payload not checked yet. Bytes (`data_base64`) become a `Uint8Array`.
 * @throws ValidationError for what is no CloudEvent
 */
export function messageOf(event: unknown): Message {
  if (typeof event !== 'object' || event === null)
    throw new ValidationError('It is no CloudEvent but no object at all.')
  const { id, source, type, time, subject, data, data_base64: bytes, ...rest } = event as Record<string, unknown>
  if (typeof id !== 'string' || typeof source !== 'string' || typeof type !== 'string')
    throw new ValidationError('It is no CloudEvent: it has no id, source and type.')
  const at = new Date(typeof time === 'string' ? time : Number.NaN)
  const extensions = Object.entries(rest).filter(([name]) => !KNOWN.has(name)) as [string, string | number | boolean][]
  return {
    id,
    name: type,
    payload: typeof bytes === 'string' ? bytesOf(bytes) : data,
    time: at,
    source,
    ...(typeof subject === 'string' && { subject }),
    ...(extensions.length > 0 && { extensions: Object.fromEntries(extensions) }),
  }
}

/** The message in a text that `cloudEventText` made. @throws ValidationError */
export function readMessage(text: string): Message {
  return messageOf(decode(text, 'The event'))
}

function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  } catch (cause) {
    throw new ValidationError('Its data_base64 is no base64.', [], { cause })
  }
}
