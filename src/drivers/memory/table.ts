// The jobs in memory and every move they make, after the table of moves in core.
import type { DeadReason, JobError } from '../../core/errors.js'
import type { Envelope } from '../../core/envelope.js'
import { stateAfter, type JobState, type Move } from '../../core/job.js'
import {
  KEPT_LINES,
  type JobRecord,
  type KeptLine,
  type LogLine,
  type Receipt,
  type ReleaseReason,
} from '../../driver/driver.js'
import type { KeptEvent, Subscription } from '../../driver/events.js'
import { standing } from '../../driver/receipts.js'

/** A job; mutable, and its stored state is never `ready` before its time. */
export interface Row {
  readonly seq: number
  /** Its queue changes when it is held; nothing else. */
  envelope: Envelope
  state: JobState
  dueAt: number
  run: number
  attempts: number
  crashes: number
  suspect: boolean
  startWritten: boolean
  cancelling: boolean
  holdsKey: boolean
  expiresAt: number | undefined
  worker: string | undefined
  blocked: { readonly why: ReleaseReason; readonly since: number } | undefined
  progress: number | undefined
  note: string | undefined
  result: string | undefined
  reason: DeadReason | undefined
  errors: JobError[]
  startedAt: number | undefined
  finishedAt: number | undefined
  pruneAt: number | undefined
  /** Grows with each handing to another broker, and when it waits anew: then what is on its way of it is stale. */
  ticket: number
  /** While it waits: when it is to be handed to another broker. */
  handAt: number | undefined
  /** While somebody hands it over: the worker in whose name. */
  handedBy: string | undefined
  /** What its handlers logged, the newest last. */
  lines: KeptLine[]
}

export interface Table {
  readonly rows: Map<string, Row>
  readonly queues: Set<string>
  readonly state: Map<string, { value: string; version: number; expiresAt: number | undefined }>
  readonly workers: Map<string, { beat: number; beatAt: number; info: string; stopping: boolean }>
  readonly subscriptions: Map<string, Subscription>
  /** The log of events, in its order. */
  readonly events: Map<string, KeptEvent>
  /** Places in the log that were given so far. */
  places: number
  readonly maxCrashes: number
  /** Its jobs are moved by another broker. */
  ledger: boolean
  /** Epoch milliseconds. */
  now(): number
  version: number
  /** All, or none. @throws JobConflictError */
  add(envelopes: readonly Envelope[]): Receipt[]
  /** A row of its own for the envelope. */
  enter(envelope: Envelope): Row
  /** The job that holds the key. */
  holder(name: string, key: string): Row | undefined
  on(topic: 'work' | 'done', listener: () => void): () => void
  emit(topic: 'work' | 'done'): void
}

export function createTable(maxCrashes: number, now: () => number): Table {
  const rows = new Map<string, Row>()
  const queues = new Set<string>()
  const listeners = { work: new Set<() => void>(), done: new Set<() => void>() }
  let seq = 0

  const holder = (name: string, key: string) => {
    for (const row of rows.values())
      if (row.holdsKey && row.envelope.name === name && row.envelope.unique?.key === key && !keyIsOver(row, now()))
        return row
    return undefined
  }

  /**
   * Who adds a job for another broker removes it when that broker refuses it, unless its ticket is another by then: somebody
   * was told that this one stands for his.
   */
  function spare(row: Row): void {
    if (row.ticket !== 1 || row.state !== 'ready' || row.run > 0 || row.handAt === undefined) return
    row.ticket += 1
    row.handAt = now()
  }

  const enter = (envelope: Envelope) => {
    queues.add(envelope.queue)
    const row = newRow(envelope, ++seq, now())
    rows.set(envelope.id, row)
    return row
  }

  return {
    rows,
    queues,
    state: new Map(),
    workers: new Map(),
    subscriptions: new Map(),
    events: new Map(),
    places: 0,
    maxCrashes,
    ledger: false,
    now,
    version: 0,
    holder,
    enter,
    add(envelopes) {
      for (const envelope of envelopes) {
        const same = rows.get(envelope.id)
        if (same) standing(envelope, same.envelope.name)
      }
      return envelopes.map((envelope) => {
        queues.add(envelope.queue)
        const same = rows.get(envelope.id)
        if (same) {
          spare(same)
          return standing(envelope, same.envelope.name)
        }
        const held = envelope.unique && holder(envelope.name, envelope.unique.key)
        if (held) {
          spare(held)
          return { id: held.envelope.id, duplicate: true }
        }
        enter(envelope)
        return { id: envelope.id, duplicate: false }
      })
    },
    on(topic, listener) {
      const own = () => listener()
      listeners[topic].add(own)
      return () => void listeners[topic].delete(own)
    },
    emit(topic) {
      for (const listener of listeners[topic]) listener()
    },
  }
}

function newRow(envelope: Envelope, seq: number, now: number): Row {
  const dueAt = envelope.notBefore ?? envelope.enqueuedAt
  return {
    seq,
    envelope,
    state: dueAt > now ? 'scheduled' : 'ready',
    dueAt,
    run: 0,
    attempts: 0,
    crashes: 0,
    suspect: false,
    startWritten: false,
    cancelling: false,
    holdsKey: envelope.unique !== undefined,
    expiresAt: envelope.expiresAt,
    worker: undefined,
    blocked: undefined,
    progress: undefined,
    note: undefined,
    result: undefined,
    reason: undefined,
    errors: [],
    startedAt: undefined,
    finishedAt: undefined,
    pruneAt: undefined,
    ticket: 0,
    handAt: dueAt,
    handedBy: undefined,
    lines: [],
  }
}

export const isWaiting = (row: Row) => row.state === 'ready' || row.state === 'scheduled'

/** The order in which ready jobs run. */
export const byOrder = (a: Row, b: Row) =>
  b.envelope.priority - a.envelope.priority || a.dueAt - b.dueAt || a.seq - b.seq

/** The time until which a unique key is held although the job has finished. */
function heldUntil({ envelope: { unique, enqueuedAt } }: Row): number {
  return typeof unique?.until === 'number' ? enqueuedAt + unique.until : 0
}

const keyIsOver = (row: Row, now: number) => row.state === 'completed' && heldUntil(row) <= now

/** A scheduled job whose time has come is ready, without anybody moving it. */
export function stateNow(row: Row, now: number): JobState {
  return row.state === 'scheduled' && row.dueAt <= now ? 'ready' : row.state
}

/** Make a move of the table. @throws Error for one that is not in it: a mistake in this driver. */
export function move(row: Row, verb: Move, now: number): void {
  const next = stateAfter(stateNow(row, now), verb)
  if (next === undefined) throw new Error(`Job ${row.envelope.id}: no move "${verb}" from ${row.state}.`)
  row.state = next
}

/** Into a worker's hands. */
export function startRow(row: Row, worker: string, now: number): void {
  move(row, 'start', now)
  row.run += 1
  row.worker = worker
  row.startedAt = now
  row.handAt = undefined
  if (row.envelope.unique?.until === 'started') row.holdsKey = false
}

/** It waits anew, and is to be handed to another broker when its time comes. */
export function handAnew(row: Row): void {
  row.ticket += 1
  row.handAt = row.dueAt
  row.handedBy = undefined
}

/** Leave a worker's hands. */
function letGo(row: Row): void {
  row.worker = undefined
  row.startWritten = false
}

export function finish(row: Row, verb: 'complete' | 'bury' | 'cancel', now: number): void {
  move(row, verb, now)
  letGo(row)
  const { keep } = row.envelope
  const keepFor = row.state === 'dead' ? keep.dead : keep.completed
  row.handAt = undefined
  row.finishedAt = now
  row.pruneAt = Math.max(now + keepFor, row.state === 'completed' ? heldUntil(row) : 0)
  row.holdsKey &&= row.state === 'completed' && heldUntil(row) > now
  row.cancelling = false
  row.blocked = undefined
}

export function waitAgain(row: Row, verb: 'retry' | 'release', delay: number, now: number): void {
  move(row, verb, now)
  letGo(row)
  row.progress = undefined
  row.note = undefined
  // Without a delay it keeps its place.
  if (delay > 0 || verb === 'retry') {
    row.dueAt = now + delay
    row.state = 'scheduled'
  }
  handAnew(row)
}

export function keepError(row: Row, error: JobError): void {
  row.errors = [...row.errors, error].slice(-5)
}

export function keepLines(row: Row, lines: readonly LogLine[]): void {
  const last = row.lines.at(-1)?.n ?? 0
  row.lines = [...row.lines, ...lines.map((line, i) => ({ ...line, n: last + 1 + i }))].slice(-KEPT_LINES)
}

/** A key that was free from the start of the job on is held again when the job has not run after all, unless it is taken. */
export function holdKeyAgain(table: Table, row: Row): void {
  const { name, unique } = row.envelope
  if (unique?.until === 'started') row.holdsKey ||= table.holder(name, unique.key) === undefined
}

/** Take every job from a worker that is gone. */
export function takeBack(table: Table, worker: string, crashed: boolean): void {
  const now = table.now()
  for (const row of table.rows.values()) {
    if (row.state === 'ready' && row.handAt !== undefined && row.handedBy === worker)
      row.handAt = Math.min(row.handAt, now)
    if (row.state !== 'active' || row.worker !== worker) continue
    if (row.cancelling) finish(row, 'cancel', now)
    else if (crashed && row.startWritten && ++row.crashes >= table.maxCrashes) {
      const message = `The process that ran this job died ${row.crashes} times, the last time in worker ${worker}.`
      keepError(row, { name: 'WorkerCrashed', message, at: now })
      row.reason = 'crashed'
      finish(row, 'bury', now)
    } else {
      if (!crashed) holdKeyAgain(table, row)
      row.suspect ||= crashed
      waitAgain(row, 'release', 0, now)
    }
  }
}

export function recordOf(row: Row, now: number): JobRecord {
  const state = stateNow(row, now)
  const optional = {
    reason: row.reason,
    progress: row.progress,
    note: row.note,
    result: row.result,
    worker: row.worker,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
    blocked: row.blocked,
  }
  return {
    envelope: row.envelope,
    state,
    run: row.run,
    attempt: row.attempts + (state === 'active' ? 1 : 0),
    crashes: row.crashes,
    suspect: row.suspect,
    errors: row.errors,
    dueAt: row.dueAt,
    cancelling: row.cancelling,
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as Partial<JobRecord>),
  }
}
