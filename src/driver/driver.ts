// The seam: what a product must offer to carry Millrace. Small ports, types only but for two shared facts. A driver has a
// capability if it has the port, and says the finer differences as data in its traits. Times are epoch milliseconds,
// durations milliseconds.
import type { DeadReason, JobError } from '../core/errors.js'
import type { Envelope } from '../core/envelope.js'
import type { JobState } from '../core/job.js'
import type { EventLog, Events } from './events.js'
import type { Receipt } from './receipts.js'
import type { Pulse } from './pulse.js'

export type { Receipt } from './receipts.js'

/** Moves envelopes from producers to workers, at least once. */
export interface Broker<Tx = never> {
  /** Make the queue exist. Idempotent; a queue that exists in another shape is an error, never a silent change. */
  declare(queue: QueueSpec): Promise<void>
  /** Names of the queues that exist. */
  list(): Promise<readonly string[]>
  /** Remove a queue and what waits in it. */
  remove(o: { readonly queue: string }): Promise<void>
  /**
   * Keep the envelopes; one receipt each, in order. Resolves once they are durable. With `tx` they join the caller's
   * transaction, and a driver whose transactions are synchronous does all of its work before it returns. All are kept, or
   * none: an id that belongs to a job of another task is a JobConflictError.
   */
  publish(o: { readonly envelopes: readonly Envelope[]; readonly tx?: Tx }): Promise<readonly Receipt[]>
  /** Hand over jobs until stopped, never more than `prefetch` of them unsettled. */
  consume(o: ConsumeOptions<Tx>): Promise<Consumer>
  stats(o: { readonly queue: string }): Promise<QueueStats>
  /** Remove what waits in the queue and is in no worker's hands; how many that was. */
  purge(o: { readonly queue: string }): Promise<number>
}

export interface QueueSpec {
  readonly name: string
}

export interface ConsumeOptions<Tx = never> {
  readonly queue: string
  /** Id of the worker on whose beat the lease of every delivery hangs. */
  readonly worker: string
  readonly prefetch: number
  onDelivery(delivery: Delivery<Tx>): void
}

export interface Consumer {
  /** Change the credit. 0: take nothing, keep what is in hand. */
  setPrefetch(n: number): void
  /** Deliver nothing more; what is in hand may still be settled. Idempotent. */
  stop(): Promise<void>
  /** `undefined` after `stop()`, else why the link is gone for good. Short outages are healed inside the driver. */
  readonly closed: Promise<Error | undefined>
}

/** What a handler says while it works. */
export interface Note {
  readonly progress?: number
  readonly note?: string
  readonly log?: readonly LogLine[]
}

/** A line that a handler logged: one line of text, its fields written out as `key=value`. */
export interface LogLine {
  readonly at: number
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
  /** The attempt that said it. */
  readonly attempt: number
}

/** Of each job the newest lines are kept, and of each line so many characters. */
export const KEPT_LINES = 200
export const LINE_LENGTH = 1_000

/** Why a delivery is not ours any more (`lease`, `link`), or should end (`cancelled`: still ours to settle). */
export type LostReason = 'lease' | 'link' | 'cancelled'
/** Why a job is given back. */
export type ReleaseReason = 'stop' | 'later' | 'no-handler' | 'limit'

/**
 * One envelope in one worker's hands. One settling verb (ack, retry, dead, release) may be called, once. Whoever wraps
 * it uses `wrapDelivery`.
 */
export interface Delivery<Tx = never> {
  readonly envelope: Envelope
  /** Fencing token: grows with every hand-over and is never reset. */
  readonly run: number
  /** Number of this attempt, 1 the first. */
  readonly attempt: number
  readonly crashes: number
  /** A worker died with this job in hand: call `start()` before the handler. */
  readonly suspect: boolean
  /** It was given back before, for this reason, again and again since then; not if nobody looked at it for long. */
  readonly blocked?: { readonly why: ReleaseReason; readonly since: number } | undefined
  /**
   * The handler is about to begin. `false`: this process did not answer, and the driver has given the job back in its
   * place; then nothing may be done with it any more. A driver that never does that leaves it out.
   */
  begin?(): boolean
  /** Write that the handler begins. Only suspects need it, and only a written start can count as a crash. */
  start(): Promise<void>
  /** Called at most once for each reason, also when it happened before. */
  onLost(fn: (why: LostReason) => void): void
  /** Progress from 0 to 1, a short note, and lines of the handler's log. Coalesced, best effort. */
  note(o: Note): void
  /** Done. Result, state and children are kept in one step where the driver can. */
  ack(o?: { readonly result?: string; readonly tx?: Tx; readonly publish?: readonly Envelope[] }): Promise<void>
  /** Failed: again, no sooner than after `delay`. Spends an attempt. */
  retry(o: { readonly delay: number; readonly error: JobError }): Promise<void>
  /** Failed for good: kept where an operator finds it. */
  dead(o: { readonly reason: DeadReason; readonly error: JobError }): Promise<void>
  /** Not run after all: given back unspent. */
  release(o?: { readonly delay?: number; readonly why?: ReleaseReason }): Promise<void>
}

export interface QueueStats {
  readonly ready: number
  readonly scheduled?: number
  /** Waiting for another attempt; not in `scheduled`. */
  readonly retrying?: number
  readonly active?: number
  readonly dead?: number
  /** How long the oldest ready job has been ready. */
  readonly oldestMs?: number
}

/** A job as the store remembers it. */
export interface JobRecord {
  readonly envelope: Envelope
  readonly state: JobState
  readonly reason?: DeadReason
  readonly run: number
  /** Attempts spent, and the one under way. */
  readonly attempt: number
  readonly crashes: number
  readonly suspect: boolean
  readonly progress?: number
  readonly note?: string
  readonly result?: string
  /** At most 5, the newest last. */
  readonly errors: readonly JobError[]
  readonly worker?: string
  /** When it became ready, or will. */
  readonly dueAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  /** A cancel was asked for while the job was active. */
  readonly cancelling: boolean
  /** Why it waits although it was handed over before. */
  readonly blocked?: { readonly why: ReleaseReason; readonly since: number }
}

/** The one way to point at jobs. Every part given must hold. */
export interface JobQuery {
  readonly ids?: readonly string[]
  readonly name?: string
  readonly queue?: string
  readonly states?: readonly JobState[]
  readonly reason?: DeadReason
  readonly group?: string
  /** Text that the name or message of its last error contains. */
  readonly error?: string
  /** Enqueued at or after. */
  readonly since?: number
  /** Enqueued before. */
  readonly before?: number
  /** In this worker's hands. */
  readonly worker?: string
  /** Only jobs that wait as suspects: a worker died with them in hand. */
  readonly suspect?: true
  /** Only jobs that were given back for this reason, and have not run since. */
  readonly blocked?: ReleaseReason
}

/** Outcome of moving one job; `conflict` names who holds its unique key. */
export interface Moved {
  readonly id: string
  readonly conflict?: string
}

/** Memory of jobs, and the operator's verbs. */
export interface Jobs {
  get(o: {
    readonly ids: readonly string[]
    /** Only those that have finished. */
    readonly finished?: boolean
  }): Promise<readonly JobRecord[]>
  /** Newest first; `cursor` goes on where a page ended. */
  list(
    o: JobQuery & { readonly limit: number; readonly cursor?: string },
  ): Promise<{ readonly jobs: readonly JobRecord[]; readonly cursor?: string }>
  count(o: JobQuery): Promise<number>
  /**
   * `ready`: dead jobs come back with fresh attempts, scheduled ones run now. `cancelled`: waiting jobs end at once, an
   * active one when its handler has ended. `deleted`: removed for good, except active ones. Looks at `limit` jobs at most;
   * `cursor` goes on where a call ended.
   */
  move(
    o: JobQuery & { readonly to: 'ready' | 'cancelled' | 'deleted'; readonly limit: number; readonly cursor?: string },
  ): Promise<{ readonly moved: readonly Moved[]; readonly cursor?: string }>
  /** Remove finished jobs whose retention is over, at most `limit`; how many that was. */
  prune(o: { readonly limit: number }): Promise<number>
  /**
   * Lines that its handlers logged, oldest first; `after` goes on behind a line's number. What was said before a settle is
   * kept with it or before it. Lines end with their job; an unknown job has none.
   */
  logs(o: { readonly id: string; readonly after?: number; readonly limit: number }): Promise<readonly KeptLine[]>
}

/** A line with its place: numbers grow within a job, and may have gaps. */
export interface KeptLine extends LogLine {
  readonly n: number
}

/** A job that a worker runs now. */
export interface RunningJob {
  readonly id: string
  readonly name: string
  readonly attempt: number
  readonly suspect: boolean
  /** When its handler began. */
  readonly since: number
}

/** What a worker says of itself. */
export interface WorkerInfo {
  readonly pid: number
  readonly host: string
  readonly queues: readonly string[]
  readonly tasks: readonly string[]
  /** Names of the schedules that its code declares. Workers of older versions do not tell. */
  readonly schedules?: readonly string[]
  readonly concurrency: number
  readonly running: number
  /** Those that began first, 20 at most. */
  readonly jobs: readonly RunningJob[]
  /** Handlers that went on after their timeout and grace. */
  readonly abandoned: number
  /** Share of the time since the last beat in which the event loop was busy, 0 to 1. */
  readonly load: number
  /** The longest that the event loop kept anybody waiting since the last beat, in milliseconds. */
  readonly loopDelay: number
  readonly startedAt: number
  /** Filled in by the driver: waits for a lock of its product in the last minute, and the longest, in milliseconds. */
  readonly lockWaits?: { readonly count: number; readonly longest: number }
  /** It was told to stop: what it leaves behind has not crashed. */
  readonly stopping: boolean
}

/** A worker as others see it. */
export interface SeenWorker extends WorkerInfo {
  readonly worker: string
  /** Of its last beat, by its own clock: to be shown, never to be judged by. */
  readonly beatAt: number
  /** Its event loop does not answer, and somebody beats for it: for so many milliseconds by now. */
  readonly blockedMs?: number
}

/** Presence: one small write per worker and beat carries liveness, cancels and pauses both ways. */
export interface Workers {
  /**
   * Say that the worker lives. Answers ids of its jobs to cancel and names of paused queues. A driver that can reads from
   * `pulse` that the worker's event loop is blocked, and beats in its place as long as that is in order.
   */
  beat(o: { readonly worker: string; readonly info: WorkerInfo; readonly pulse?: Pulse }): Promise<{
    readonly revoked: readonly string[]
    readonly paused: readonly string[]
  }>
  /** The worker is gone; what it still held is given back, unspent unless it has `crashed`. */
  leave(o: { readonly worker: string; readonly crashed?: boolean }): Promise<void>
  list(): Promise<readonly SeenWorker[]>
}

/** Something that a look at a product found: how it is, and when it is not well, what to do. */
export interface Finding {
  /** Stable, for alarms: `wal-pinned`, `schema`, … */
  readonly code: string
  readonly level: 'ok' | 'warning' | 'error'
  readonly message: string
  /** What to do; with every level but `ok`. */
  readonly advice?: string
  /** The figures behind it. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
}

export interface Entry {
  readonly key: string
  readonly value: string
  /** Grows with every write of this store, also across deletes: a fencing token. */
  readonly version: number
}

/** Small shared facts under compare-and-set. */
export interface State {
  get(o: { readonly key: string }): Promise<Entry | undefined>
  /**
   * The new version, or `undefined` when `expect` (a version, or `'absent'`) did not hold. `ttl` ends the entry. `publish`:
   * jobs that come to be exactly if the entry is written, in the same step.
   */
  set(o: {
    readonly key: string
    readonly value: string
    readonly ttl?: number
    readonly expect?: number | 'absent'
    readonly publish?: readonly Envelope[]
  }): Promise<number | undefined>
  delete(o: { readonly key: string; readonly expect?: number }): Promise<boolean>
  list(o: { readonly prefix: string }): Promise<readonly Entry[]>
}

/**
 * Best-effort wake-ups: `work` (something became ready) and `done` (something finished). They may be lost, doubled or
 * spurious, so every listener also polls.
 */
export interface Signals {
  on(topic: 'work' | 'done', listener: () => void): () => void
}

/** What a driver claims. A denied feature throws `UnsupportedError`, never is ignored. */
export interface Traits {
  /** What was published survives the death of the process. */
  readonly durable: boolean
  /** Other processes can join. */
  readonly shared: boolean
  readonly delay: boolean
  /** How many levels are told apart. */
  readonly priorities: 10 | 3 | 0
  readonly unique: boolean
  /** `tx` is taken by publish and ack. `sync`: all work happens before the call returns. */
  readonly transactions: 'none' | 'sync' | 'async'
  /** How long a worker may be silent before its jobs go to others, in milliseconds. */
  readonly lease: number
}

/** What a client tells its driver. */
export interface ConnectOptions {
  readonly namespace?: string
  /** Create or migrate the schema when it is older than the code. */
  readonly migrate: boolean
  /** Milliseconds until an unanswered write fails. */
  readonly publishTimeout: number
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>): void
}

/** A bundle of ports over one product. */
export interface Driver<in Tx = never> {
  readonly name: string
  readonly '~tx'?: (tx: Tx) => void
  readonly traits: Traits
  readonly broker: Broker<Tx>
  readonly jobs?: Jobs
  readonly workers?: Workers
  readonly state?: State
  readonly signals?: Signals
  readonly events?: Events<Tx>
  readonly eventLog?: EventLog
  /** Dial. Called before anything else; joins a call under way. */
  connect(o: ConnectOptions): Promise<void>
  /** Create or migrate what is needed. Idempotent, safe to race. */
  setup(): Promise<void>
  /** Resolves when the product answers. */
  ping(): Promise<void>
  /** What only this driver can know of its product's health: size, schema, lock waits, dangerous settings. */
  inspect?(o?: {
    /** Read everything there is, also if it takes long. */
    readonly deep?: boolean
  }): Promise<readonly Finding[]>
  /** Idempotent; nothing works afterwards. */
  close(): Promise<void>
}

/** A driver that remembers: what the client and worker ask for. */
export interface StatefulDriver<in Tx = never> extends Driver<Tx> {
  readonly jobs: Jobs
  readonly workers: Workers
  readonly state: State
  readonly signals: Signals
  readonly events: Events<Tx>
  readonly eventLog: EventLog
}

/** A blocked job that was due for so long without anybody taking it was not given back again and again meanwhile. */
export const BLOCKED_FORGOTTEN = 600_000

/** Entries of `State` under this prefix, followed by a queue's name, mean that the queue is paused. */
export const PAUSED_PREFIX = 'paused/'
