// CloudEvents over HTTP, in the three modes: one as JSON (structured), one in headers and body (binary), several (batched).
// Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md and formats/json-format.md
import { CLOUD_EVENT_TYPE, type CloudEventAttributes, type CloudEventData } from '../core/cloud-event.js'
import { encode } from '../core/codec.js'
import { shown } from '../core/errors.js'
import { isJson, jsonOf, mediaType, textOf } from './body.js'
import { Problem } from './problem.js'

/** The media type of several CloudEvents in one JSON list. */
export const BATCH_TYPE = 'application/cloudevents-batch+json'

/** An event as it came: well formed, nothing else of it checked. */
export interface ReceivedEvent {
  readonly attributes: CloudEventAttributes
  readonly data: CloudEventData | undefined
  /** The data as a subscriber gets it: a JSON value, text, or bytes. */
  readonly payload: unknown
}

/** @throws Problem 400 that says what is wrong with which event; 415 for what is no CloudEvent at all */
export function eventsOf(headers: Headers, bytes: Uint8Array): readonly ReceivedEvent[] {
  const type = mediaType(headers.get('content-type'))
  if (type === CLOUD_EVENT_TYPE) return [structured(jsonOf(textOf(bytes)), 'The event')]
  if (type === BATCH_TYPE) {
    const list = jsonOf(textOf(bytes))
    if (!Array.isArray(list)) throw bad(`A batch is a JSON list of events, not ${shown(list).slice(0, 40)}.`)
    return list.map((one, i) => structured(one, `Event ${i + 1} of ${list.length}`))
  }
  const isBinary = [...headers.keys()].some((name) => name.startsWith('ce-'))
  if (isBinary && !type.startsWith('application/cloudevents')) return [binary(headers, bytes)]
  throw new Problem(
    'ERR_MEDIA_TYPE',
    `${type === '' ? 'A request without a Content-Type' : `Content-Type ${type}`} is no CloudEvent here. Send ${CLOUD_EVENT_TYPE}, ${BATCH_TYPE}, or ce-* headers (binary mode).`,
  )
}

const ATTRIBUTES = ['specversion', 'id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'dataschema'] as const
const EXTENSION = /^[a-z0-9]+$/
// https://www.rfc-editor.org/rfc/rfc3339#section-5.6
const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/
const LONGEST_ATTRIBUTE = 2_048
/** Of an id, a source or a subject. */
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const UNSTORABLE = /[\u0000-\u001f\u007f\p{Surrogate}]/u

function structured(value: unknown, what: string): ReceivedEvent {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${what} is no JSON object.`)
  // A member that is null stands for an attribute that is not there.
  const given = Object.entries(value as Record<string, unknown>).filter(([, one]) => one !== null)
  const { data, data_base64: base64, ...rest } = Object.fromEntries(given)
  if (data !== undefined && base64 !== undefined) throw bad(`${what} has both "data" and "data_base64".`)
  const attributes = attributesOf(rest, what)
  if (base64 !== undefined) {
    if (typeof base64 !== 'string' || !isBase64(base64)) throw bad(`${what}: "data_base64" is no base64.`)
    return { attributes, data: { base64 }, payload: Uint8Array.from(Buffer.from(base64, 'base64')) }
  }
  // `data: null` is a payload, unlike an attribute that is null.
  const payload = 'data' in value ? (value as { data: unknown }).data : undefined
  const json = encode(payload, 'The data')
  return { attributes, data: json === '' ? undefined : { json }, payload }
}

function binary(headers: Headers, bytes: Uint8Array): ReceivedEvent {
  const given: Record<string, string> = {}
  for (const [name, value] of headers) if (name.startsWith('ce-')) given[name.slice(3)] = decoded(name, value)
  if ('datacontenttype' in given)
    throw bad('The event has a header "ce-datacontenttype". In binary mode the data\'s type is the Content-Type.')
  const contentType = headers.get('content-type')
  if (contentType !== null) given['datacontenttype'] = contentType
  const attributes = attributesOf(given, 'The event')
  return { attributes, ...dataOf(bytes, mediaType(contentType)) }
}

function dataOf(bytes: Uint8Array, type: string): Pick<ReceivedEvent, 'data' | 'payload'> {
  if (bytes.length === 0) return { data: undefined, payload: undefined }
  if (isJson(type)) {
    const json = textOf(bytes)
    return { data: { json: json.trim() }, payload: jsonOf(json) }
  }
  if (type.startsWith('text/'))
    try {
      const text = textOf(bytes)
      return { data: { text }, payload: text }
    } catch {
      // of another character set: kept as the bytes that they are
    }
  return { data: { base64: Buffer.from(bytes).toString('base64') }, payload: Uint8Array.from(bytes) }
}

/** Header values have characters that HTTP does not carry percent-encoded, and may be quoted. */
function decoded(name: string, value: string): string {
  const plain = /^"(?:[^"\\]|\\.)*"$/.test(value) ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
  try {
    return decodeURIComponent(plain)
  } catch {
    throw bad(`The header "${name}" has a "%" that begins no encoded UTF-8. Write a percent sign as %25.`)
  }
}

function attributesOf(given: Readonly<Record<string, unknown>>, what: string): CloudEventAttributes {
  const { specversion, id, source, type, subject, time, datacontenttype, dataschema, ...extensions } = given
  if (specversion !== '1.0')
    throw bad(
      specversion === undefined
        ? `${what} has no "specversion".`
        : `${what} has the specversion ${shown(specversion)}. Only "1.0" is taken.`,
    )
  for (const name of ATTRIBUTES) {
    const value = given[name]
    if (value === undefined) {
      if (name === 'id' || name === 'source' || name === 'type') throw bad(`${what} has no "${name}".`)
    } else if (typeof value !== 'string' || value === '') throw bad(`${what}: "${name}" is no text, or empty.`)
    else if (value.length > LONGEST_ATTRIBUTE)
      throw bad(`${what}: "${name}" has more than ${LONGEST_ATTRIBUTE} characters.`)
    else if (UNSTORABLE.test(value)) throw bad(`${what}: "${name}" has a control character, or half a character.`)
  }
  if (time !== undefined && !(RFC3339.test(time as string) && !Number.isNaN(Date.parse(time as string))))
    throw bad(`${what}: "time" ${shown(time)} is no RFC 3339 time, such as 2026-01-31T12:00:00Z.`)
  if (/\s/.test(source as string)) throw bad(`${what}: "source" has a space, so it is no URI.`)
  return {
    id: id as string,
    source: source as string,
    type: type as string,
    subject: subject as string | undefined,
    time: time as string | undefined,
    datacontenttype: datacontenttype as string | undefined,
    dataschema: dataschema as string | undefined,
    extensions: extensionsOf(extensions, what),
  }
}

function extensionsOf(given: Readonly<Record<string, unknown>>, what: string) {
  for (const [name, value] of Object.entries(given)) {
    if (!EXTENSION.test(name))
      throw bad(`${what} has an attribute ${shown(name)}. Names of attributes are lower case letters and digits.`)
    if (typeof value === 'string' && value.length > LONGEST_ATTRIBUTE)
      throw bad(`${what}: "${name}" has more than ${LONGEST_ATTRIBUTE} characters.`)
    if (typeof value === 'object') throw bad(`${what}: "${name}" is no text, number or boolean.`)
  }
  return given as Readonly<Record<string, string | number | boolean>>
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

function bad(detail: string): Problem {
  return new Problem('ERR_BAD_EVENT', detail)
}
