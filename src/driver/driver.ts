// The seam: what a product must offer to carry Millrace. Small ports, types only but for shared facts. A driver has a capability
// if it has the port, and says finer differences as data in its traits. Times are epoch milliseconds, durations milliseconds.
import type { Envelope } from '../core/envelope.js'
import type { Delayed } from './delayed.js'
import type { EventLog, Events } from './events.js'
import type { DeadLetters } from './dead-letters.js'
import type { Delivery } from './delivery.js'
import type { Jobs } from './jobs.js'
import type { Leaving } from './leaving.js'
import type { Ledger } from './ledger.js'
import type { Replies } from './replies.js'
import type { Receipt } from './receipts.js'
import type { Pulse } from './pulse.js'

export type { Delivery, LogLine, LostReason, Note, ReleaseReason } from './delivery.js'
export type { JobQuery, JobRecord, Jobs, KeptLine, Moved } from './jobs.js'
export type { Receipt } from './receipts.js'
export { BLOCKED_FORGOTTEN, KEPT_LINES, LINE_LENGTH, PAUSED_PREFIX } from './facts.js'

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
    /** Of a broker with a store: the beat reached the store, but the broker did not answer when it was last asked. */
    readonly brokerAway?: boolean
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

// They may be lost, doubled or spurious, so every listener also polls.
/** Best-effort wake-ups: `work` (something became ready) and `done` (something finished). */
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
  /** It remembers jobs and shared state. `false`: a bare broker, which only moves jobs; what needs memory is refused. */
  readonly remembers: boolean
  /** Longer than this no handler may run, in milliseconds, or the product takes its job away. Left out: no such limit. */
  readonly longestRun?: number
  /** `final`: of most jobs it knows only how they ended; nothing of them is there before. Left out: they are known all along. */
  readonly history?: 'final'
  /** Where a job waits that was given back: in its old place (also when left out), or behind those that wait already. */
  readonly returns?: 'in-place' | 'at-end'
}

/** What a client tells its driver. */
export interface ConnectOptions {
  readonly namespace?: string
  /** Create or migrate the schema when it is older than the code. */
  readonly migrate: boolean
  /** Milliseconds until an unanswered write fails. */
  readonly publishTimeout: number
  /** Its jobs are moved by another broker: it hands over none itself, and keeps account of what is to be handed. */
  readonly ledger?: boolean
  /**
   * A store keeps the books of its jobs: it buries none, and hands over at once, as a suspect, what somebody had in hand
   * before and did not settle.
   */
  readonly carries?: boolean
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
  /** What a store needs to be one part of a pair. */
  readonly ledger?: Ledger<Tx>
  /** What `drain` needs to move jobs from here to another driver. */
  readonly leaving?: Leaving
  /** Delayed jobs of a broker that keeps them where nobody can list them. */
  readonly delayed?: Delayed
  readonly deadLetters?: DeadLetters
  readonly replies?: Replies
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
