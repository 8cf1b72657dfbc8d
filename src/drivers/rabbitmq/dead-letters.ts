// Dead jobs in a stream: looking takes nothing away, and what was retried or deleted is struck out by a later entry. Two kinds
// of entries tell of a death: ours, with the reason and errors, and what the broker moved here itself, because a suspect was
// handed over too often.
import type { ConsumeMessage } from 'amqplib'
import type { DeadReason, JobError } from '../../core/errors.js'
import type { DeadLetters, DeadQuery } from '../../driver/dead-letters.js'
import type { Envelope } from '../../core/envelope.js'
import type { JobRecord } from '../../driver/driver.js'
import { isForeign, pack, unpack, type Course, type Unpacked } from './message.js'
import type { Outgoing } from './publish.js'
import type { Names } from './topology.js'

const HEADERS = {
  queue: 'millrace-dead-queue',
  reason: 'millrace-dead-reason',
  at: 'millrace-dead-at',
  /** The id of the job that is struck out. */
  gone: 'millrace-dead-gone',
} as const

/** The entry of a job that died in our hands. */
export function deadMessage(
  names: Names,
  job: Pick<Unpacked, 'envelope' | 'course'>,
  o: { readonly reason: DeadReason; readonly at: number; readonly mostHeaders: number },
): Outgoing {
  const { content, options } = pack(job.envelope, { ...job.course, replyTo: undefined }, o.mostHeaders)
  Object.assign(options.headers as Record<string, unknown>, {
    [HEADERS.queue]: job.envelope.queue,
    [HEADERS.reason]: o.reason,
    [HEADERS.at]: o.at,
  })
  return { exchange: '', key: names.dead, content, options, id: job.envelope.id }
}

/** The entry that strikes a job out. */
function goneMessage(names: Names, id: string): Outgoing {
  const options = { persistent: true, messageId: id, type: HEADERS.gone, headers: { [HEADERS.gone]: id } }
  return { exchange: '', key: names.dead, content: Buffer.alloc(0), options, id }
}

interface Dead {
  readonly place: number
  readonly record: JobRecord
  readonly course: Course
}

export function createDeadLetters(o: {
  names(): Names
  read(onMessage: (message: ConsumeMessage, place: number) => void): Promise<void>
  send(messages: readonly Outgoing[]): Promise<void>
  publish(envelope: Envelope, course: Course): Promise<void>
}): DeadLetters {
  /** The newest first, of those that fit. */
  async function all(q: DeadQuery): Promise<Dead[]> {
    const dead = new Map<string, Dead>()
    const now = Date.now()
    await o.read((message, place) => {
      const gone: unknown = message.properties.headers?.[HEADERS.gone]
      if (typeof gone === 'string') dead.delete(gone)
      const one = deadOf(message, place, o.names())
      if (!one) return
      const { id, keep } = one.record.envelope
      dead.delete(id)
      if ((one.record.finishedAt ?? now) + keep.dead > now && fits(one.record, q)) dead.set(id, one)
    })
    return [...dead.values()].reverse()
  }

  async function page(q: DeadQuery & { limit: number; cursor?: string }) {
    const below = q.cursor === undefined ? Infinity : Number(q.cursor)
    const rest = (await all(q)).filter((one) => one.place < below)
    const shown = rest.slice(0, q.limit)
    return { shown, ...(rest.length > shown.length && { cursor: String(shown.at(-1)?.place ?? 0) }) }
  }

  return {
    async list(q) {
      const { shown, cursor } = await page(q)
      return { jobs: shown.map(({ record }) => record), ...(cursor !== undefined && { cursor }) }
    },
    async move({ to, ...q }) {
      const { shown, cursor } = await page(q)
      for (const { record, course } of shown) {
        const { notBefore: _, ...envelope } = record.envelope
        if (to === 'ready') await o.publish(envelope, { run: course.run, spent: 0, crashes: 0, errors: course.errors })
        await o.send([goneMessage(o.names(), envelope.id)])
      }
      return {
        moved: shown.map(({ record }) => ({ id: record.envelope.id })),
        ...(cursor !== undefined && { cursor }),
      }
    },
  }
}

function deadOf(message: ConsumeMessage, place: number, names: Names): Dead | undefined {
  const h = (message.properties.headers ?? {}) as Record<string, unknown>
  if (h[HEADERS.gone] !== undefined) return undefined
  const ours = typeof h[HEADERS.queue] === 'string'
  const queue = ours ? String(h[HEADERS.queue]) : buriedIn(h, names)
  const job = unpack(message, queue, 4)
  if (isForeign(job)) return undefined
  const { course } = job
  const headers = Object.fromEntries(
    Object.entries(job.envelope.headers).filter(([key]) => !(Object.values(HEADERS) as string[]).includes(key)),
  )
  const envelope: Envelope = { ...job.envelope, headers }
  const at = h[HEADERS.at]
  const finishedAt = typeof at === 'number' ? at : diedAt(h)
  const buried: JobError = {
    name: 'Error',
    message:
      'RabbitMQ has buried it: it was handed over again and again, and each time the process or its link was gone before it was begun.',
    at: finishedAt ?? envelope.enqueuedAt,
  }
  const record: JobRecord = {
    envelope,
    state: 'dead',
    reason: ours ? (h[HEADERS.reason] as DeadReason) : 'crashed',
    run: course.run,
    attempt: course.spent,
    crashes: course.crashes,
    suspect: false,
    errors: ours ? course.errors : [...course.errors, buried],
    dueAt: envelope.notBefore ?? envelope.enqueuedAt,
    ...(finishedAt !== undefined && { finishedAt }),
    cancelling: false,
  }
  return { place, record, course: { ...course, errors: record.errors } }
}

/** The queue of a suspect that the broker buried. */
function buriedIn(h: Record<string, unknown>, names: Names): string {
  const from = h['x-first-death-queue'] ?? h['x-last-death-queue']
  if (typeof from !== 'string' || !from.startsWith(names.prefix)) return 'default'
  const [, ...rest] = from.slice(names.prefix.length).split('.')
  return rest.join('.')
}

/** Seconds, as AMQP has them. */
function diedAt(h: Record<string, unknown>): number | undefined {
  const [death] = Array.isArray(h['x-death']) ? (h['x-death'] as Record<string, unknown>[]) : []
  const time = death?.['time'] as { value?: unknown } | undefined
  return typeof time?.value === 'number' ? time.value * 1000 : undefined
}

function fits(record: JobRecord, q: DeadQuery): boolean {
  const { envelope } = record
  const last = record.errors.at(-1)
  return (
    (q.ids === undefined || q.ids.includes(envelope.id)) &&
    (q.name === undefined || q.name === envelope.name) &&
    (q.queue === undefined || q.queue === envelope.queue) &&
    (q.reason === undefined || q.reason === record.reason) &&
    (q.group === undefined || q.group === envelope.group) &&
    (q.since === undefined || envelope.enqueuedAt >= q.since) &&
    (q.before === undefined || envelope.enqueuedAt < q.before) &&
    (q.error === undefined || (last !== undefined && contains(last, q.error)))
  )
}

const contains = ({ name, message }: JobError, text: string) =>
  [name, message].some((one) => one.toLowerCase().includes(text.toLowerCase()))
