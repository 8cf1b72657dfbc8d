// The format of a message, which other programs may write and read too.
//
//   body            the input as text, UTF-8; empty for no input
//   contentType     `application/json`, or the envelope's own `content-type`
//   messageId       the job's id        type        the name of its task
//   timestamp       when it was enqueued, in seconds        deliveryMode 2
//   headers         the job's own, text each; those that begin with `millrace-` are ours, and only sent when they say
//                   something: see OURS
//
// A message with a `type` and a JSON body is a job: its id is made up when it has none. What is no job says why (`Foreign`).
import { isUtf8 } from 'node:buffer'
import type { ConsumeMessage, Options } from 'amqplib'
import { NO_HEADERS, type Envelope } from '../../core/envelope.js'
import { KEPT_ERRORS, PayloadTooLargeError, type JobError } from '../../core/errors.js'
import { newId } from '../../core/id.js'
import { DEFAULT_PRIORITY } from '../../core/job.js'
import type { ReleaseReason } from '../../driver/driver.js'

/** The version of this format. A message of a later one is kept aside. */
const VERSION = 1

const OURS = {
  version: 'millrace-version',
  /** hand-overs so far */
  run: 'millrace-run',
  /** attempts spent so far */
  spent: 'millrace-spent',
  crashes: 'millrace-crashes',
  priority: 'millrace-priority',
  /** milliseconds, when neither the id nor the timestamp tells them */
  enqueuedAt: 'millrace-enqueued-at',
  notBefore: 'millrace-not-before',
  expiresAt: 'millrace-expires-at',
  group: 'millrace-group',
  /** `<completed>,<dead>` in milliseconds */
  keep: 'millrace-keep',
  /** JSON of its last errors */
  errors: 'millrace-errors',
  /** `<why>,<since>` */
  blocked: 'millrace-blocked',
} as const
const OWN_HEADERS: ReadonlySet<string> = new Set(Object.values(OURS))

/** The retention that is not worth a header: the client's default. */
const DEFAULT_KEEP = Object.freeze({ completed: 86_400_000, dead: 30 * 86_400_000 })

/** Bytes of the errors, which are kept in a header. */
const MOST_ERROR_TEXT = 6_000
/** Bytes that a fresh job leaves free, for what it will be told later, and what its own properties take. */
const FOR_LATER = 2_048
/** RabbitMQ 4 takes no larger messages unless it is told to; the whole of a larger one would close the channel. */
export const LARGEST_BODY = 16 * 2 ** 20
/** amqplib encodes no more. */
const MOST_ENCODED = 65_000

/**
 * How many bytes our headers may have. They must fit into a frame, and with them what the broker writes in when the job goes
 * through the delays: about 300 bytes for each. A frame too large would cost the whole connection, again with each delivery.
 */
export const mostHeaders = (frameMax: number): number =>
  Math.min(MOST_ENCODED, frameMax - Math.min(16_384, frameMax / 2))

/** What a job takes along besides its envelope. */
export interface Course {
  readonly run: number
  readonly spent: number
  readonly crashes: number
  readonly errors: readonly JobError[]
  readonly blocked?: { readonly why: ReleaseReason; readonly since: number } | undefined
  /** Where who asked for an answer waits for it. */
  readonly replyTo?: string | undefined
}

export const FRESH: Course = { run: 0, spent: 0, crashes: 0, errors: [] }

export interface Packed {
  readonly content: Buffer
  readonly options: Options.Publish
}

export const largeHeaders = (id: string, bytes: number, limit: number) =>
  new PayloadTooLargeError(`The headers of job ${id}`, bytes, limit)
export const largeMessage = (id: string, bytes: number) =>
  new PayloadTooLargeError(`The message of job ${id}`, bytes, LARGEST_BODY)

/**
 * Whether a job can be sent.
 * @param most what `mostHeaders` says
 * @throws PayloadTooLargeError when its body is too large, or the headers of a fresh one
 */
export function checkFits({ id, body, headers }: Envelope, course: Course, most: number): void {
  // Three bytes are the most for one of JavaScript's characters.
  const bytes = body.length * 3 <= LARGEST_BODY ? 0 : bytesOf(body)
  if (bytes > LARGEST_BODY) throw largeMessage(id, bytes)
  const size = course === FRESH ? sizeOf(headers) : 0
  if (size > most - FOR_LATER) throw largeHeaders(id, size, most - FOR_LATER)
}

/** @param most what `mostHeaders` says; errors that would be too much are left out */
export function pack(envelope: Envelope, course: Course, most: number): Packed {
  const headers: Record<string, string | number> = { ...envelope.headers }
  let contentType = 'application/json'
  if (headers['content-type'] !== undefined) {
    contentType = String(headers['content-type'])
    delete headers['content-type']
  }
  if (course !== FRESH) packCourse(headers, course, most - FOR_LATER / 2 - sizeOf(envelope.headers))
  if (envelope.priority !== DEFAULT_PRIORITY) headers[OURS.priority] = envelope.priority
  if (timeOf(envelope.id) !== envelope.enqueuedAt) headers[OURS.enqueuedAt] = envelope.enqueuedAt
  if (envelope.notBefore !== undefined) headers[OURS.notBefore] = envelope.notBefore
  if (envelope.expiresAt !== undefined) headers[OURS.expiresAt] = envelope.expiresAt
  if (envelope.group !== undefined) headers[OURS.group] = envelope.group
  const { completed, dead } = envelope.keep
  if (completed !== DEFAULT_KEEP.completed || dead !== DEFAULT_KEEP.dead) headers[OURS.keep] = `${completed},${dead}`
  const options: Options.Publish = {
    mandatory: false,
    persistent: true,
    contentType,
    messageId: envelope.id,
    type: envelope.name,
    timestamp: Math.floor(envelope.enqueuedAt / 1000),
    headers,
  }
  if (course.replyTo !== undefined) {
    options.replyTo = course.replyTo
    options.correlationId = envelope.id
  }
  return { content: Buffer.from(envelope.body), options }
}

/** Bytes, or a little more. */
function sizeOf(headers: Envelope['headers']): number {
  let size = 0
  for (const name in headers) {
    const value = headers[name]!
    // As above; few headers are worth counting.
    size += 8 + (name.length + value.length < 200 ? 3 * (name.length + value.length) : bytesOf(name) + bytesOf(value))
  }
  return size
}

const bytesOf = (text: string) => Buffer.byteLength(text)

function packCourse(headers: Record<string, string | number>, course: Course, room: number): void {
  if (course.run > 0) headers[OURS.run] = course.run
  if (course.spent > 0) headers[OURS.spent] = course.spent
  if (course.crashes > 0) headers[OURS.crashes] = course.crashes
  if (course.errors.length > 0) headers[OURS.errors] = packErrors(course.errors, Math.min(room, MOST_ERROR_TEXT))
  if (course.blocked) headers[OURS.blocked] = `${course.blocked.why},${course.blocked.since}`
}

/** The newest errors, as many as there is room for; of a long one the stack is left out. */
function packErrors(errors: readonly JobError[], most: number): string {
  const kept: JobError[] = []
  let room = most
  for (const error of errors.slice(-KEPT_ERRORS).reverse()) {
    const { stack: _, ...short } = error
    const one = bytesOf(JSON.stringify(error)) <= room ? error : { ...short, message: short.message.slice(0, 500) }
    const size = bytesOf(JSON.stringify(one)) + 1
    if (size > room) break
    room -= size
    kept.unshift(one)
  }
  return JSON.stringify(kept)
}

/** What a message turned out to be. */
export interface Unpacked {
  readonly envelope: Envelope
  readonly course: Course
  /** Not before this time, in milliseconds; 0: at once. */
  readonly due: number
}

/** Why a message is no job. */
export interface Foreign {
  readonly foreign: string
}

type Message = Pick<ConsumeMessage, 'content' | 'properties'>
type Headers = Readonly<Record<string, unknown>>

export function unpack(message: Message, queue: string, priority: number): Unpacked | Foreign {
  const { properties: p, content } = message
  const h = (p.headers ?? NO_HEADERS) as Headers
  const plain = isEmpty(h)
  const version = plain ? undefined : numberOf(h[OURS.version])
  if (version !== undefined && version > VERSION)
    return { foreign: `it is of version ${version} of the format, and this process knows ${VERSION}` }
  if (typeof p.type !== 'string' || p.type === '') return { foreign: 'it has no `type`, which names the task' }
  if (p.contentEncoding !== undefined) return { foreign: `its content is encoded (${String(p.contentEncoding)})` }
  if (!isUtf8(content)) return { foreign: 'its body is no UTF-8 text' }
  return new Arrived(message, queue, priority, plain)
}

/** A message that is a job. It may wait for its turn among many, so it is read when somebody looks at it, and then let go. */
class Arrived implements Unpacked {
  readonly course: Course
  readonly due: number
  private message: Message | undefined
  private readonly queue: string
  private readonly priority: number
  private read: Envelope | undefined = undefined

  constructor(message: Message, queue: string, priority: number, plain: boolean) {
    this.message = message
    this.queue = queue
    this.priority = priority
    const { headers, replyTo } = message.properties
    this.course = plain && replyTo === undefined ? FRESH : courseOf((headers ?? NO_HEADERS) as Headers, replyTo)
    this.due = plain ? 0 : (numberOf((headers as Headers)[OURS.notBefore]) ?? 0)
  }

  get envelope(): Envelope {
    if (this.read) return this.read
    const envelope = envelopeOf(this.message!, this.queue, this.priority)
    this.message = undefined
    return (this.read = envelope)
  }
}

function envelopeOf({ properties: p, content }: Message, queue: string, priority: number): Envelope {
  const h = (p.headers ?? NO_HEADERS) as Headers
  const id = typeof p.messageId === 'string' && p.messageId !== '' ? p.messageId : newId()
  const time = timeOf(id) ?? (numberOf(p.timestamp) ?? Date.now() / 1000) * 1000
  const contentType = typeof p.contentType === 'string' ? p.contentType : 'application/json'
  // The way of almost every job.
  if (contentType === 'application/json' && isEmpty(h))
    return {
      id,
      queue,
      name: p.type as string,
      body: content.toString(),
      headers: NO_HEADERS,
      priority,
      enqueuedAt: time,
      keep: DEFAULT_KEEP,
    }
  const notBefore = numberOf(h[OURS.notBefore])
  const expiresAt = numberOf(h[OURS.expiresAt])
  const group = h[OURS.group]
  return {
    id,
    queue,
    name: p.type as string,
    body: content.toString(),
    headers: headersOf(h, contentType),
    priority: numberOf(h[OURS.priority]) ?? priority,
    enqueuedAt: numberOf(h[OURS.enqueuedAt]) ?? time,
    ...(notBefore !== undefined && { notBefore }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(typeof group === 'string' && { group }),
    keep: keepOf(h[OURS.keep]),
  }
}

function isEmpty(headers: object): boolean {
  for (const _ in headers) return false
  return true
}

export const isForeign = (one: Unpacked | Foreign): one is Foreign => 'foreign' in one

function courseOf(h: Headers, replyTo: unknown): Course {
  const blocked = /^(stop|later|no-handler|limit),(\d+)$/.exec(textOf(h[OURS.blocked]))
  return {
    run: numberOf(h[OURS.run]) ?? 0,
    spent: numberOf(h[OURS.spent]) ?? 0,
    crashes: numberOf(h[OURS.crashes]) ?? 0,
    errors: unpackErrors(h[OURS.errors]),
    ...(blocked && { blocked: { why: blocked[1] as ReleaseReason, since: Number(blocked[2]) } }),
    ...(typeof replyTo === 'string' && replyTo !== '' && { replyTo }),
  }
}

/** Headers of the broker, which it writes again where they are due. */
const OF_THE_BROKER = /^x-(death|first-death-|last-death-|delivery-count|acquired-count|stream-|opt-|received-from)/

function headersOf(h: Headers, contentType: string): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const key in h) {
    const value = h[key]
    if (OWN_HEADERS.has(key) || OF_THE_BROKER.test(key)) continue
    if (typeof value === 'string') headers[key] = value
    else if (typeof value === 'number' || typeof value === 'boolean') headers[key] = String(value)
  }
  if (contentType !== 'application/json') headers['content-type'] = contentType
  return headers
}

function unpackErrors(text: unknown): readonly JobError[] {
  if (typeof text !== 'string') return []
  try {
    const errors = JSON.parse(text) as unknown
    return Array.isArray(errors) ? (errors as JobError[]).filter((one) => typeof one?.message === 'string') : []
  } catch {
    return []
  }
}

function keepOf(text: unknown): Envelope['keep'] {
  const [, completed, dead] = /^(\d+),(\d+)$/.exec(textOf(text)) ?? []
  return completed === undefined ? DEFAULT_KEEP : { completed: Number(completed), dead: Number(dead) }
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : '')

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

/** Jobs come in rows of the same millisecond. */
let lastTime = { text: '\0', ms: 0 }

/** The milliseconds in a UUIDv7: almost every id tells when its job was enqueued, and a header less is a header less. */
function timeOf(id: string): number | undefined {
  if (id.length !== 36 || id.charCodeAt(14) !== 55 /* 7 */ || id.charCodeAt(8) !== 45 || id.charCodeAt(13) !== 45)
    return undefined
  if (id.startsWith(lastTime.text)) return lastTime.ms
  const ms = parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  if (Number.isNaN(ms)) return undefined
  lastTime = { text: id.slice(0, 13), ms }
  return ms
}

/** How often the broker has handed the message over before, without it being settled. */
export function deliveryCount(message: Message): number {
  const headers = message.properties.headers as Record<string, unknown> | undefined
  return headers === undefined ? 0 : (numberOf(headers['x-delivery-count']) ?? 0)
}

/** Of a message that is none of ours. */
export const NO_JOB: Unpacked = {
  envelope: {
    id: '',
    queue: '',
    name: '',
    body: '',
    headers: {},
    priority: 4,
    enqueuedAt: 0,
    keep: { completed: 0, dead: 0 },
  },
  course: FRESH,
  due: 0,
}
