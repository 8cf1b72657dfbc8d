// The public types of a worker: handlers, what they receive, and the worker itself.
/// <reference lib="esnext.disposable" preserve="true" />
import type { Producer, JobInfo } from '../client/types.js'
import type { Duration } from '../core/duration.js'
import type { HeaderMap } from '../core/envelope.js'
import type { Event } from '../core/event.js'
import type { Retry } from '../core/retry.js'
import type { ScheduleDeclaration } from '../core/schedule.js'
import type { Queue, Task } from '../core/task.js'
import type { Logger } from '../observe/log.js'

export type Awaitable<T> = T | Promise<T>
export type Nested<T> = T | readonly Nested<T>[]

/** What a handler receives beside its input. Jobs enqueued through it carry their parent and trace. */
export interface Context extends Producer<any> {
  /** Aborts when the attempt should end: timeout, cancel, lost lease, or the end of the grace at a stop. */
  readonly signal: AbortSignal
  /** Aborts when the worker was told to stop, before the grace begins. */
  readonly stopping: AbortSignal
  /**
   * Lines that carry the job's id, task and attempt. Those of `info` and above are kept with the job as well: the newest 200,
   * cut after 1,000 characters.
   */
  readonly log: Logger
  /** From 0 to 1, with a short note; kept now and then, best effort. */
  progress(fraction: number, note?: string): Promise<void>
  readonly job: {
    id: string
    name: string
    queue: string
    group?: string
    /** 1 is the first. */
    attempt: number
    maxAttempts: number
    crashes: number
    enqueuedAt: Date
    /** When this attempt times out. */
    deadline?: Date
    headers: HeaderMap
  }
}

/** What a worker does: a function bound to a task (`handle`), an event (`on`) or a schedule, a `route`, or a schedule of a task. */
export interface Handler<Send = any, Output = any> {
  kind: 'handler'
  '~types'?: { send: Send; output: Output }
  '~bound'?: BoundHandler
  '~schedule'?: ScheduleDeclaration
}

export type HandlerOptions = {
  /** How many of this task run at once in this process; default: as many as the worker may. */
  concurrency?: number
  /** Called after the job died in this worker. What it throws is logged. */
  onDead?: (job: JobInfo, ctx: Context) => Awaitable<void>
}

/** Options of a handler that has no task of its own: those of a task, too. */
export type OwnOptions = HandlerOptions & {
  /** Where its jobs wait; default a queue of its own. */
  queue?: string | Queue
  /** As for a task: default 10 attempts, `exponential('2s', { factor: 3, max: '1h' })`. `false`: one attempt. */
  retry?: Retry | false
  /** How long one attempt may run; default 10 minutes. `false`: no limit. */
  timeout?: Duration | false
}

/** What `handle`, `on`, `route` or `schedule` bound. */
export interface BoundHandler {
  readonly task: Task
  readonly fn: (input: any, ctx: Context) => unknown
  readonly options: HandlerOptions
  readonly subscription?: BoundSubscription
  /** Its task is made up for a subscription or schedule: nobody enqueues it by name. */
  readonly internal?: true
}

/** The subscription of a handler. */
export interface BoundSubscription {
  readonly name: string
  readonly patterns: readonly string[]
  /** Those whose definitions are known. */
  readonly events: readonly Event[]
  /** Name of the task that a `route` queues. */
  readonly routesTo?: string
}

/** Wraps every handler. It calls `next()` once, or throws to fail the attempt. */
export type Middleware = (ctx: Context, next: () => Promise<void>) => Promise<void>

export interface WorkerOptions {
  handlers: Nested<Handler>
  /** How many jobs run at once in this process; default 10. */
  concurrency?: number
  /** Per queue: at most so many of its jobs at once, and its share when several queues have work (weight, default 1). */
  queues?: Readonly<Record<string, { concurrency?: number; weight?: number }>>
  middleware?: readonly Middleware[]
  /** Called after the last handler has ended: close what the handlers used. */
  onStop?: () => Awaitable<void>
}

/** Options of a worker, or the function that makes them once per process, made by `defineWorker`. */
export interface WorkerDefinition {
  readonly kind: 'worker'
  readonly '~make'?: () => Awaitable<WorkerOptions>
}

export type WorkOptions = {
  /** Only these of the handlers' queues. */
  queues?: readonly string[]
  /** Overrides the worker's. */
  concurrency?: number
  /** Stop at SIGTERM and SIGINT, and at once at a second one. Default `false`: signals belong to the application. */
  signals?: boolean
  /** How long `stop()` waits for running handlers unless it is told otherwise; default 25 s. */
  grace?: Duration
}

/** Whether a worker takes work, and if not, why. */
export interface WorkerHealth {
  readonly ready: boolean
  readonly reasons: readonly string[]
  /** Handlers at work. */
  readonly running: number
  /** Handlers that went on after their timeout and grace. */
  readonly abandoned: number
}

/** A running worker. */
export interface Worker extends AsyncDisposable {
  readonly id: string
  /** Resolves when it has stopped; rejects when it stopped because its link to the broker is gone for good. */
  readonly done: Promise<void>
  /**
   * Take nothing new, wait for running handlers at most `grace` (default 25 s), abort the rest and give their jobs back
   * unspent. Called again with a shorter grace, it hurries.
   */
  stop(o?: { grace?: Duration }): Promise<void>
  /**
   * The process is about to end by an error that nobody caught: what is in hand goes to other workers at once, as after a
   * crash, so that a job that kills every process that runs it is found out. Answers the ids of the jobs that were running.
   */
  crash(): Promise<readonly string[]>
  /** As of the last beat (one every half a second, or oftener): fit for a readiness probe. */
  health(): WorkerHealth
}
