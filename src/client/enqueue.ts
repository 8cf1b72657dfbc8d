// From a task and an input to envelopes on the broker: validate, encode, publish. With `tx` all of it happens before the
// call returns, and errors are thrown rather than returned, so that a synchronous transaction rolls back.
import { encode } from '../core/codec.js'
import { toMs } from '../core/duration.js'
import type { Envelope } from '../core/envelope.js'
import { ConfigurationError, ValidationError, hasCode, messageOf, shown } from '../core/errors.js'
import { newId } from '../core/id.js'
import { checkKey } from '../core/name.js'
import { check, validationError, type Checked } from '../core/schema.js'
import {
  checkPriority,
  refuseUnknown,
  specOf,
  uniqueClaim,
  type Task,
  type TaskSpec,
  type Unique,
} from '../core/task.js'
import type { Receipt } from '../driver/driver.js'
import { headersOf, type Parent } from './headers.js'
import { jobsOf, type Results } from './job.js'
import { createPublisher } from './publish.js'
import { expectReplies } from './reply.js'
import type { Session } from './session.js'
import type { EnqueueOptions, Job, Producer } from './types.js'

const KNOWN = ['id', 'delay', 'runAt', 'priority', 'unique', 'group', 'headers', 'reply', 'tx']
/** Jobs per call to the driver, so that a large `enqueueMany` leaves room for others. */
const CHUNK = 1000
const CHUNKS_AT_ONCE = 3

type AnyTask = Task<any, any, any, any>
type Options = EnqueueOptions<any>

export function createProducer<Tx>(session: Session<Tx>, results: Results, parent?: Parent): Producer<Tx> {
  function build(task: AnyTask, spec: TaskSpec, input: unknown, o: Options): Envelope {
    const now = session.around.now()
    const body = encode(input, `Input of task "${task.name}"`)
    const notBefore = dueTime(o, now)
    const { unique: keyOf, group: groupOf } = spec
    const given = o.unique ?? (keyOf && callerFunction(task, 'unique', () => keyOf(input)))
    const unique = o.unique !== undefined || keyOf ? uniqueClaim(given as string | Unique) : undefined
    const group = o.group ?? (groupOf && callerFunction(task, 'group', () => groupOf(input)))
    const envelope: Envelope = {
      id: o.id === undefined ? newId() : checkKey('The job id', o.id),
      queue: spec.queue,
      name: task.name,
      body,
      headers: headersOf(o.headers, parent),
      priority: o.priority === undefined ? spec.priority : checkPriority(o.priority),
      enqueuedAt: now,
      keep: { completed: session.keep.completed, dead: session.keep.dead, ...spec.retention },
      ...(notBefore !== undefined && { notBefore }),
      ...(spec.expires !== undefined && { expiresAt: now + spec.expires }),
      ...(unique && { unique }),
      ...(group !== undefined && { group: checkKey('The group', group) }),
    }
    session.around.made?.(envelope, o)
    return envelope
  }

  /** @param asking ids of those whose end is to be sent to us */
  async function publish(
    task: AnyTask,
    envelopes: readonly Envelope[],
    asking: readonly string[],
  ): Promise<Job<any>[]> {
    const driver = await session.open()
    const handle = jobsOf(session, results, task)
    const send = (chunk: readonly Envelope[]) => driver.broker.publish({ envelopes: chunk })
    // Where jobs are remembered, so are their results.
    const expected = asking.length > 0 && !driver.traits.remembers ? await expectReplies(driver, asking) : undefined
    try {
      const receipts = await sendAll(expected ? envelopes.map(expected.envelope) : envelopes, send)
      return receipts.map(({ id, duplicate }) => handle(id, duplicate, expected?.ending(id)))
    } catch (error) {
      expected?.forget()
      throw error
    }
  }

  function publishInTx(task: AnyTask, envelopes: readonly Envelope[], tx: Tx): Promise<Job<any>[]> {
    const published = session.opened().broker.publish({ envelopes, tx })
    const handle = jobsOf(session, results, task)
    return published.then((receipts) => receipts.map(({ id, duplicate }) => handle(id, duplicate)))
  }

  return {
    ...createPublisher(session, parent),
    enqueue(task: AnyTask, ...[input, o = {}]: any[]) {
      const options = o as Options
      if (options.tx !== undefined) {
        const envelope = build(task, checkOptions(task, options), validNow(task, input), options)
        return publishInTx(task, [envelope], options.tx as Tx).then(([job]) => job!)
      }
      return (async () => {
        const spec = checkOptions(task, options)
        const checked = check(spec.input, input)
        // Few schemas are asynchronous, and there may be a great many calls.
        const taken = passed(task, input, checked instanceof Promise ? await checked : checked)
        const envelope = build(task, spec, taken, options)
        return (await publish(task, [envelope], options.reply ? [envelope.id] : []))[0]!
      })()
    },
    enqueueMany(task: AnyTask, inputs: Iterable<any>, o: Options & { each?: (input: any) => Options } = {}) {
      const { each, ...common } = o
      const optionsFor = (input: unknown): Options => {
        const own = each?.(input)
        if (own?.tx !== undefined) throw new ConfigurationError('`tx` is given once for all inputs, not by `each`.')
        return { ...common, ...own }
      }
      if (common.tx !== undefined) {
        const envelopes = Array.from(inputs, (input, i) =>
          atIndex(i, () =>
            build(task, checkOptions(task, optionsFor(input)), validNow(task, input), optionsFor(input)),
          ),
        )
        return publishInTx(task, envelopes, common.tx as Tx)
      }
      return (async () => {
        const envelopes: Envelope[] = []
        const asking: string[] = []
        let same: TaskSpec | undefined
        for (const input of inputs) {
          const options = each ? optionsFor(input) : common
          const spec = (each ? undefined : same) ?? (same = checkOptions(task, options))
          const at = envelopes.length
          // Nothing is waited for that need not be: there may be a great many.
          const checking = atIndex(at, () => check(spec.input, input))
          const checked =
            checking instanceof Promise
              ? await checking.catch((error: unknown) => atIndex(at, () => fail(error)))
              : checking
          const envelope = atIndex(at, () => build(task, spec, passed(task, input, checked), options))
          envelopes.push(envelope)
          if (options.reply) asking.push(envelope.id)
          if (envelopes.length % CHUNK === 0) await turn()
        }
        return publish(task, envelopes, asking)
      })()
    },
  }
}

function checkOptions(task: AnyTask, o: Options): TaskSpec {
  const spec = specOf(task)
  refuseUnknown(`enqueue("${task.name}")`, o, KNOWN)
  if (o.reply !== undefined && typeof o.reply !== 'boolean')
    throw new ConfigurationError(`reply: ${shown(o.reply)} is not allowed. Give true or false.`)
  return spec
}

function validNow(task: AnyTask, input: unknown): unknown {
  const checked = check(specOf(task).input, input)
  if (checked instanceof Promise) {
    checked.catch(() => {})
    throw new ValidationError(
      `The input schema of "${task.name}" is asynchronous, which a call with { tx } cannot wait for. Use a synchronous schema.`,
    )
  }
  return passed(task, input, checked)
}

/** The input as given, once its schema has let it pass; what the schema made of it is not sent. */
function passed(task: AnyTask, input: unknown, checked: Checked): unknown {
  if ('issues' in checked) throw validationError(`Input of task "${task.name}"`, checked.issues)
  return input
}

function dueTime(o: Options, now: number): number | undefined {
  if (o.delay !== undefined && o.runAt !== undefined) throw new ConfigurationError('Give `delay` or `runAt`, not both.')
  if (o.delay !== undefined) return now + Math.ceil(toMs(o.delay, 'delay'))
  if (o.runAt === undefined) return undefined
  const time = o.runAt instanceof Date ? o.runAt.getTime() : Number.NaN
  if (Number.isNaN(time)) throw new ConfigurationError(`runAt: ${String(o.runAt)} is no valid Date.`)
  return time
}

/** What a function of the task answers. @throws ConfigurationError when it throws */
export function callerFunction<T>(task: AnyTask, option: string, call: () => T): T {
  try {
    return call()
  } catch (cause) {
    throw new ConfigurationError(`The \`${option}\` function of task "${task.name}" threw: ${messageOf(cause)}`, {
      cause,
    })
  }
}

function atIndex<T>(i: number, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (hasCode(error, 'ERR_VALIDATION') || hasCode(error, 'ERR_PAYLOAD_TOO_LARGE'))
      error.message = `inputs[${i}]: ${error.message}`
    throw error
  }
}

/** At once what is few; of many, while one chunk is being written the next is on its way. */
function sendAll(
  envelopes: readonly Envelope[],
  send: (chunk: readonly Envelope[]) => Promise<readonly Receipt[]>,
): Promise<readonly Receipt[]> {
  if (envelopes.length === 0) return Promise.resolve([])
  if (envelopes.length > CHUNK) return inChunks(envelopes, send)
  return send(envelopes).catch((error: unknown) => {
    throw repeatable(error, envelopes)
  })
}

async function inChunks(
  envelopes: readonly Envelope[],
  send: (chunk: readonly Envelope[]) => Promise<readonly Receipt[]>,
): Promise<readonly Receipt[]> {
  const receipts: Receipt[] = []
  const sent: Promise<readonly Receipt[]>[] = []
  let from = 0
  try {
    while (receipts.length < envelopes.length) {
      for (; sent.length < CHUNKS_AT_ONCE && from < envelopes.length; from += CHUNK) {
        const chunk = send(envelopes.slice(from, from + CHUNK))
        chunk.catch(() => {}) // heard of when its turn comes
        sent.push(chunk)
      }
      for (const receipt of await sent[0]!) receipts.push(receipt)
      void sent.shift()
    }
    return receipts
  } catch (error) {
    const later = await Promise.allSettled(sent.slice(1))
    throw repeatable(
      error,
      envelopes.slice(receipts.length),
      later.some(({ status }) => status === 'fulfilled'),
    )
  }
}

/** Says in an outage which jobs may be sent again with the same ids. @param kept some that came later were taken */
function repeatable(error: unknown, envelopes: readonly Envelope[], kept = false): unknown {
  if (hasCode(error, 'ERR_BROKER_UNAVAILABLE'))
    Object.assign(error, { ids: envelopes.map(({ id }) => id), ...(kept && { outcome: 'unknown' }) })
  return error
}

/** Building many envelopes must not keep the event loop from everything else. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function fail(error: unknown): never {
  throw error
}
