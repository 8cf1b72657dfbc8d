// Moves waiting jobs from one driver to another. Each job is held at the source, out of every worker's reach, then published
// at the destination under its id, and then removed from the source. A run that ends between two of these steps is made
// again: what is held is published once more, which the destination takes for the same job.
import type { Envelope } from '../core/envelope.js'
import { ConfigurationError, hasCode, JobConflictError, messageOf } from '../core/errors.js'
import { newId } from '../core/id.js'
import type { Delayed } from '../driver/delayed.js'
import type { Driver } from '../driver/driver.js'
import { heldQueue, type Leaving } from '../driver/leaving.js'
import { leavingByConsumer, leavingFrom } from './drain-bare.js'

export interface DrainOptions {
  /** Only these queues; left out: all. */
  queues?: readonly string[]
  /** Told after each step, of some hundred jobs at most, what was moved and refused so far. */
  onProgress?: (so: { readonly moved: number; readonly refused: number }) => void
  /** Told of each job that the destination refuses. */
  onRefused?: (job: RefusedJob) => void
  /** Stops it after the step under way. What was moved stays moved. */
  signal?: AbortSignal
}

/** A job that the destination does not take. It stays held at the source, and is offered again by the next run. */
export interface RefusedJob {
  readonly id: string
  readonly task: string
  readonly queue: string
  readonly why: string
  /** Id of the job at the destination that holds its unique key or its id. */
  readonly holder?: string
}

/** What a queue of the source has. */
export interface DrainableQueue {
  readonly queue: string
  /** Ready, scheduled, and waiting for another attempt. */
  readonly waiting: number
  /** Held by a run that did not end, or refused by the destination. */
  readonly held: number
  /** In workers' hands. They are left alone. */
  readonly active: number
  /** Dead jobs are not moved. */
  readonly dead: number
}

export interface Drained {
  readonly moved: number
  readonly refused: number
  /** `signal` ended it before the end. */
  readonly stopped: boolean
  /** What the source still has in the queues asked for. */
  readonly left: readonly DrainableQueue[]
  /** Delayed jobs of all queues that the source still has, where it cannot tell of which queue they are. */
  readonly delayed?: number
}

const BATCH = 200
const DAY = 86_400_000
/** Errors that say that the destination keeps nothing of these jobs, today or tomorrow. */
const REFUSALS = ['ERR_UNSUPPORTED', 'ERR_JOB_CONFLICT', 'ERR_PAYLOAD_TOO_LARGE', 'ERR_VALIDATION']

/** @throws ConfigurationError when both are one store, or a queue does not exist */
export async function drainDriver(from: Driver<any>, to: Driver<any>, o: DrainOptions = {}): Promise<Drained> {
  await refuseSameStore(from, to)
  const queues = await queuesOf(from, o.queues)
  const { leaving, end } = leavingOf(from)
  let [moved, refused] = [0, 0]

  type Gone = (ids: readonly string[]) => Promise<unknown>
  async function moveOn(envelopes: readonly Envelope[], gone: Gone): Promise<void> {
    for (const name of new Set(envelopes.map((one) => one.queue))) await to.broker.declare({ name })
    const not = await publishAt(to, envelopes)
    const refusedIds = new Set(not.map((job) => job.id))
    const ids = envelopes.map((one) => one.id).filter((id) => !refusedIds.has(id))
    await gone(ids)
    moved += ids.length
    refused += not.length
    for (const job of not) o.onRefused?.(job)
    o.onProgress?.({ moved, refused })
  }

  const stopped = () => o.signal?.aborted === true
  try {
    // What becomes due meanwhile is found in its queue afterwards.
    if (from.delayed) await eachDelayed(from.delayed, queues, stopped, moveOn)
    for (const queue of queues) {
      if (stopped()) break
      const gone: Gone = (ids) => leaving.gone({ queue, ids })
      await eachHeld(leaving, queue, (envelopes) => (stopped() ? undefined : moveOn(envelopes, gone)))
      while (!stopped()) {
        const envelopes = await leaving.hold({ queue, limit: BATCH })
        if (envelopes.length === 0) break
        await moveOn(envelopes, gone)
      }
    }
  } finally {
    await end()
  }
  const delayed = await delayedAt(from)
  return {
    moved,
    refused,
    stopped: stopped(),
    left: await lookAt(from, queues),
    ...(delayed !== undefined && { delayed }),
  }
}

/**
 * Give what is held back to its queues, so that workers of the source run it after all. Jobs that the destination has
 * already are removed instead. To be called while no drain of these jobs runs.
 */
export async function giveBackHeld(
  from: Driver<any>,
  to: Driver<any>,
  o: Pick<DrainOptions, 'queues'> = {},
): Promise<{ readonly givenBack: number; readonly moved: number }> {
  await refuseSameStore(from, to)
  let [givenBack, moved] = [0, 0]
  const { leaving, end } = leavingOf(from)
  for (const queue of await queuesOf(from, o.queues))
    await eachHeld(leaving, queue, async (envelopes) => {
      const there = (to.traits.remembers && (await to.jobs?.get({ ids: envelopes.map((one) => one.id) }))) || []
      const names = new Map(there.map(({ envelope }) => [envelope.id, envelope.name]))
      const gone = envelopes.filter((one) => names.get(one.id) === one.name).map((one) => one.id)
      const ids = envelopes.map((one) => one.id).filter((id) => !gone.includes(id))
      if (gone.length > 0) await leaving.gone({ queue, ids: gone })
      moved += gone.length
      givenBack += await leaving.giveBack({ queue, ids })
    })
  await end()
  return { givenBack, moved }
}

/** What a drain would find. */
export async function drainable(from: Driver<any>, o: Pick<DrainOptions, 'queues'> = {}): Promise<DrainableQueue[]> {
  return lookAt(from, await queuesOf(from, o.queues))
}

/** How many delayed jobs of all queues wait where nobody can tell of which queue they are; left out: that can be told. */
export async function delayedAt(from: Driver<any>): Promise<number | undefined> {
  return from.delayed?.count()
}

const leavingOf = (from: Driver<any>): { leaving: Leaving; end(): Promise<void> } =>
  from.leaving ? { leaving: from.leaving, end: async () => {} } : leavingByConsumer(from)

async function eachDelayed(
  delayed: Delayed,
  queues: readonly string[],
  stopped: () => boolean,
  use: (envelopes: readonly Envelope[], gone: (ids: readonly string[]) => Promise<void>) => Promise<void>,
): Promise<void> {
  const taking = await delayed.take({ queues })
  try {
    while (!stopped()) {
      const taken = await taking.next({ limit: BATCH })
      if (taken.length === 0) break
      await use(
        taken.map((one) => leavingFrom(one, one.notBefore ?? one.enqueuedAt)),
        (ids) => taking.gone({ ids }),
      )
    }
  } finally {
    await taking.end()
  }
}

async function eachHeld(
  leaving: Leaving,
  queue: string,
  use: (envelopes: readonly Envelope[]) => Promise<void> | undefined,
): Promise<void> {
  let cursor: string | undefined
  do {
    const page = await leaving.held({ queue, limit: BATCH, ...(cursor !== undefined && { cursor }) })
    if (page.envelopes.length > 0) await use(page.envelopes)
    cursor = page.cursor
  } while (cursor !== undefined)
}

/** Those that the destination refuses. Of the others it keeps each, now or since an earlier run. */
async function publishAt(to: Driver<any>, envelopes: readonly Envelope[]): Promise<RefusedJob[]> {
  try {
    const receipts = await to.broker.publish({ envelopes: envelopes.map((one) => arriving(one, to)) })
    return receipts.flatMap(({ id }, place) => {
      const envelope = envelopes[place]!
      if (id === envelope.id) return []
      return [refusal(envelope, `Job ${id} holds its unique key at the destination.`, id)]
    })
  } catch (error) {
    if (!REFUSALS.some((code) => hasCode(error, code))) throw error
    const [first] = envelopes
    if (envelopes.length === 1)
      return [refusal(first!, messageOf(error), error instanceof JobConflictError ? error.holder : undefined)]
    // One of them, and all are refused with it: each on its own.
    const each: RefusedJob[] = []
    for (const envelope of envelopes) each.push(...(await publishAt(to, [envelope])))
    return each
  }
}

const refusal = ({ id, name, queue }: Envelope, why: string, holder?: string): RefusedJob => ({
  id,
  task: name,
  queue,
  why,
  ...(holder !== undefined && { holder }),
})

/** The envelope as the destination gets it. */
function arriving(envelope: Envelope, { traits }: Driver<any>): Envelope {
  const { notBefore, ...rest } = envelope
  // A delay that is over only says where in the queue the job stands.
  const delayed = notBefore !== undefined && (traits.delay || notBefore > Date.now())
  return {
    ...rest,
    ...(delayed && { notBefore }),
    // A job that has run and is forgotten would be taken for a new one by a run that is made again.
    keep: { completed: Math.max(DAY, rest.keep.completed), dead: Math.max(DAY, rest.keep.dead) },
  }
}

async function queuesOf(from: Driver<any>, asked: readonly string[] | undefined): Promise<readonly string[]> {
  const there = await from.broker.list()
  const unknown = asked?.find((queue) => !there.includes(queue))
  if (unknown === undefined) return asked ?? there
  const known = there.length === 0 ? 'It has none' : `It has: ${there.join(', ')}`
  throw new ConfigurationError(`The source has no queue "${unknown}". ${known}.`)
}

async function lookAt(from: Driver<any>, queues: readonly string[]): Promise<DrainableQueue[]> {
  const found: DrainableQueue[] = []
  for (const queue of queues) {
    const [stats, held] = await Promise.all([
      from.broker.stats({ queue }),
      (from.traits.remembers && from.jobs?.count({ queue: heldQueue(queue), states: ['ready', 'scheduled'] })) || 0,
    ])
    const { ready, scheduled = 0, retrying = 0, active = 0, dead = 0 } = stats
    found.push({ queue, waiting: ready + scheduled + retrying, held, active, dead })
  }
  return found
}

/** What is written at one end and read at the other tells, whatever the URLs look like. */
async function refuseSameStore(from: Driver<any>, to: Driver<any>): Promise<void> {
  if (from.traits.remembers !== to.traits.remembers) return
  const same = from === to || (await (from.traits.remembers ? haveOneState(from, to) : haveOneBroker(from, to)))
  const what = from.traits.remembers ? 'store' : 'broker'
  if (same) throw new ConfigurationError(`Source and destination are the same ${what}. Nothing was moved.`)
}

async function haveOneState({ state: one }: Driver<any>, { state: other }: Driver<any>): Promise<boolean> {
  if (!one || !other) return false
  const key = `drain/${newId()}`
  await one.set({ key, value: '', ttl: 60_000 })
  const same = (await other.get({ key })) !== undefined
  await one.delete({ key })
  return same
}

/**
 * What such a broker keeps is the names of its queues. Jobs that come back to where they are taken would come for ever. Who may
 * not make a queue is not told.
 */
async function haveOneBroker({ broker: one }: Driver<any>, { broker: other }: Driver<any>): Promise<boolean> {
  const name = `drain-${newId()}`
  try {
    await one.declare({ name })
  } catch (error) {
    if (hasCode(error, 'ERR_CONFIGURATION')) return false
    throw error
  }
  try {
    return (await other.list()).includes(name)
  } finally {
    await one.remove({ queue: name })
  }
}
