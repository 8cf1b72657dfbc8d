// The public types of a client: what services ask for, and what operators see.
/// <reference lib="esnext.disposable" preserve="true" />
import type { Duration } from '../core/duration.js'
import type { HeaderMap } from '../core/envelope.js'
import type { DeadReason } from '../core/errors.js'
import type { Event } from '../core/event.js'
import type { JobState, Priority } from '../core/job.js'
import type { Rule } from '../core/schedule.js'
import type { Keep, Task, Unique } from '../core/task.js'
import type { Driver, Finding, StatefulDriver } from '../driver/driver.js'
import type { Logger } from '../observe/log.js'
import type {
  EventFilter,
  EventInfo,
  PublishedEvent,
  QueueInfo,
  ScheduleInfo,
  SubscriptionInfo,
  WorkerStatus,
} from './seen.js'

export type {
  EventFilter,
  EventInfo,
  PublishedEvent,
  QueueInfo,
  ScheduleInfo,
  SubscriptionInfo,
  WorkerStatus,
} from './seen.js'

/** Input and options of a call; the input may be left out where it may be `undefined`. */
export type Args<Send, O> = undefined extends Send ? [input?: Send, options?: O] : [input: Send, options?: O]

export interface EnqueueOptions<Tx = never> {
  /** Chosen by the caller: enqueueing the same id again is the same job while it is kept. Left out: a UUIDv7. */
  id?: string
  /** Not before so long from now. */
  delay?: Duration
  /** Not before this time. */
  runAt?: Date
  /** 0 to 9, 9 first; default the task's. */
  priority?: Priority
  /** Overrides the task's unique key. */
  unique?: string | Unique
  /** Overrides the task's group. */
  group?: string
  /** Carried unread; at most 16 KiB. */
  headers?: HeaderMap
  /**
   * Send the end of the job to this process, so that `job.result()` works on a broker without a store: on the handle that
   * this call gives, while this client lives. With a store results are kept anyway, and it changes nothing. Default `false`.
   */
  reply?: boolean
  /** An open transaction of the driver's product: the job exists exactly when it commits. */
  tx?: Tx
}

export interface PublishOptions<Tx = never> {
  /** Chosen by the caller, 1 to 80 characters: the same id again is the same event while the log keeps it. Left out: a UUIDv7. */
  id?: string
  /** What it is about, 1 to 200 characters. */
  subject?: string
  /** When it happened; default now. */
  time?: Date
  /** Carried unread to every subscription; at most 16 KiB. */
  headers?: HeaderMap
  /** An open transaction of the driver's product: the event exists exactly when it commits. */
  tx?: Tx
}

/** What services ask for. A client and a handler's context both are one. */
export interface Producer<in Tx = never> {
  /**
   * Queue one job. Resolves once it is durable.
   * @throws ValidationError, PayloadTooLargeError, BrokerUnavailableError, UnsupportedError
   */
  enqueue<Send, Output>(
    task: Task<Send, any, any, Output>,
    ...args: Args<Send, EnqueueOptions<Tx>>
  ): Promise<Job<Output>>
  /**
   * Queue many jobs of one task; one answer each, in order. `each` gives the options of single inputs. An input that does
   * not fit rejects the call before anything is queued.
   */
  enqueueMany<Send, Output>(
    task: Task<Send, any, any, Output>,
    inputs: Iterable<NoInfer<Send>>,
    o?: EnqueueOptions<Tx> & { each?: (input: NoInfer<Send>) => EnqueueOptions },
  ): Promise<readonly Job<Output>[]>
  /**
   * Publish an event: in one step it is kept in the log and copied to every subscription whose pattern fits. Resolves once it
   * is durable. No subscriber is no error. `duplicate`: an event of this id was published before, and nobody gets it again.
   * @throws ValidationError, PayloadTooLargeError, BrokerUnavailableError, UnsupportedError; JobConflictError for an id that
   * belongs to an event of another name
   */
  publish<Send>(
    event: Event<string, Send>,
    ...args: Args<Send, PublishOptions<Tx>>
  ): Promise<{ id: string; duplicate: boolean }>
}

/** A job to wait for. Making one costs no I/O. */
export interface Job<Output = unknown> {
  id: string
  /** The id, or the unique key, belonged to this standing job already. */
  duplicate: boolean
  /**
   * The result, as the output schema parsed it. Waits at most `timeout`, default 1 minute.
   * @throws JobFailedError, JobCancelledError, JobNotFoundError, ResultTimeoutError, ClientClosedError, or the signal's reason;
   * UnsupportedError at once on a broker without a store, unless the job was enqueued with `{ reply: true }`
   */
  result(o?: { timeout?: Duration; signal?: AbortSignal }): Promise<Output>
  /** @throws JobNotFoundError */
  info(): Promise<JobInfo>
  /** A waiting job never runs, a running one gets its signal. `false`: it has finished already. */
  cancel(): Promise<boolean>
}

/** A job as an operator sees it. */
export interface JobInfo {
  id: string
  name: string
  queue: string
  state: JobState
  reason?: DeadReason
  /** Attempts spent, and the one under way. */
  attempt: number
  /** Runs that ended with the death of their process. */
  crashes: number
  /** A worker died with this job in hand, and it has not run to an end since. */
  suspect: boolean
  /** Hand-overs so far, for whatever reason. */
  run: number
  priority: number
  progress?: number
  note?: string
  input: unknown
  output?: unknown
  /** At most 5, the newest last. */
  errors: { name: string; message: string; stack?: string; at: Date }[]
  headers: HeaderMap
  group?: string
  uniqueKey?: string
  worker?: string
  /** Why it waits although it was handed over before, and since when. */
  blocked?: { why: 'stop' | 'later' | 'no-handler' | 'limit'; since: Date }
  /** A cancel was asked for; the handler has not ended yet. */
  cancelling: boolean
  enqueuedAt: Date
  /** When it became ready, or will. */
  dueAt: Date
  startedAt?: Date
  finishedAt?: Date
}

/** A line that a job's handler logged through `ctx.log`. */
export interface JobLine {
  /** Grows within the job, and may have gaps. */
  readonly n: number
  readonly at: Date
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** One line: the message, then the fields as `key=value`. */
  readonly text: string
  /** The attempt that said it. */
  readonly attempt: number
}

/** Which jobs. Every part given must hold. */
export interface JobFilter {
  ids?: readonly string[]
  task?: string | Task
  queue?: string
  states?: readonly JobState[]
  reason?: DeadReason
  group?: string
  /** Text that the last error contains, in any case. */
  error?: string
  /** Enqueued at or after. */
  since?: Date
  /** Enqueued before. */
  before?: Date
  /** Only jobs that wait as suspects: a worker died with them in hand, and they run one at a time. */
  suspect?: true
  /** Only jobs that were given back for this reason and have not run to an end since. */
  blocked?: 'stop' | 'later' | 'no-handler' | 'limit'
  /** Of a page; default 50, at most 1000. */
  limit?: number
  cursor?: string
}

/** A driver, or a broker and a store that together make one. */
export type Target<Tx> =
  | Driver<Tx>
  | {
      /** Moves the jobs: a URL such as `amqp://localhost`, or a driver without memory. */
      broker: string | Driver
      /** Remembers them: a URL such as `sqlite:jobs.db`, or a driver that can keep the books of a broker. */
      store: string | StatefulDriver<Tx>
      /** How much is written: every step (`full`, the default), or of most jobs only the end. See `compose`. */
      history?: 'full' | 'final'
    }

export type ClientOptions = {
  /** Jobs of different namespaces do not see each other on one store. */
  namespace?: string
  /** Create or migrate the schema at connect; default `true`. `false`: `millrace setup` has done it. */
  migrate?: boolean
  /** Default: warnings and errors on standard error. */
  log?: Logger
  /** How long a write may go unanswered; default 10 s. */
  publishTimeout?: Duration
  /** Defaults: completed (and cancelled) 1 day, dead 30 days. */
  retention?: Keep
  /** How long published events stay in the log, from which they can be replayed; default 7 days. */
  eventLog?: Duration
}

/** Everything a client does but work. */
export interface ClientCore<in Tx = never> extends Producer<Tx>, AsyncDisposable {
  /** Dial now, and fail now. */
  connect(): Promise<this>
  /** Its workers stop first, with this grace (default 25 s). Idempotent. */
  close(o?: { grace?: Duration }): Promise<void>
  /** A typed handle on a job whose id is known; no I/O. */
  job<Output>(task: Task<any, any, any, Output>, id: string): Job<Output>
  jobs: {
    get(id: string): Promise<JobInfo | undefined>
    /** Newest first. */
    list(f?: JobFilter): Promise<{ jobs: JobInfo[]; cursor?: string }>
    /**
     * Dead jobs run again with fresh attempts; scheduled ones, when asked for, run now. Answers how many.
     * @throws JobNotFoundError for an unknown id; JobConflictError when another job holds the id's unique key
     */
    retry(w: string | JobFilter): Promise<number>
    /** Waiting jobs end at once, running ones when their handler has ended. @throws JobNotFoundError for an unknown id */
    cancel(w: string | JobFilter): Promise<number>
    /** Remove for good; with a filter only finished jobs unless it names states. Active jobs stay. @throws JobNotFoundError */
    delete(w: string | JobFilter): Promise<number>
    /**
     * Lines that its handlers logged at `info` and above, oldest first, of all attempts; the newest 200 are kept, until
     * retention removes the job. `after`: only lines with a greater `n`. `limit`: at most so many, from 1 to 1000, default 200.
     * @throws JobNotFoundError
     */
    logs(id: string, o?: { after?: number; limit?: number }): Promise<readonly JobLine[]>
  }
  queues: {
    list(): Promise<readonly QueueInfo[]>
    stats(name: string): Promise<QueueInfo>
    /** No worker takes jobs of this queue from now on, also after restarts; running ones go on. */
    pause(name: string): Promise<void>
    resume(name: string): Promise<void>
    /** Remove what waits; answers how many. Running and finished jobs stay. */
    purge(name: string): Promise<number>
  }
  events: {
    /** Every event that a worker's code has named, or a subscription waits for, and who gets it. By name. */
    list(): Promise<readonly EventInfo[]>
    /** Published events that the log still keeps, oldest first. A page: go on with `after` the last one's `n`. */
    log(f?: EventFilter): Promise<readonly PublishedEvent[]>
    /**
     * Send events of the log to one subscription once more, from a time on; its pattern decides which. Left out are those
     * whose copy still waits or runs. Answers how many were sent.
     * @throws ConfigurationError for an unknown subscription
     */
    replay(subscription: string, f: { since: Date; before?: Date; pattern?: string }): Promise<number>
  }
  subscriptions: {
    list(): Promise<readonly SubscriptionInfo[]>
    /** No worker takes its copies from now on, also after restarts; they wait. It is its queue that pauses. */
    pause(name: string): Promise<void>
    resume(name: string): Promise<void>
    /**
     * End it: no more copies, and those that wait are deleted; answers how many. Finished ones stay.
     * @throws ConfigurationError for an unknown one, and while a live worker has it in its code
     */
    remove(name: string): Promise<number>
  }
  schedules: {
    /**
     * Make a schedule that no code declares: each tick enqueues the task with this input. Any worker makes the ticks; it is
     * seen within a second. The same again changes nothing, another definition replaces what was there.
     * @throws ConfigurationError for a rule or name that is not allowed, a time that has passed, and a name that code
     * declares; ValidationError, PayloadTooLargeError, UnsupportedError
     */
    create<Send>(
      name: string,
      rule: Rule,
      task: Task<Send>,
      ...input: undefined extends Send ? [input?: Send] : [input: Send]
    ): Promise<ScheduleInfo>
    /** In the order of their names. */
    list(): Promise<readonly ScheduleInfo[]>
    /**
     * Enqueue its job now, beside its ticks, also while it is paused. `duplicate`: with `overlap: 'skip'` an earlier job has
     * not finished, and `id` is that one's.
     * @throws ConfigurationError for an unknown name
     */
    trigger(name: string): Promise<{ id: string; duplicate: boolean }>
    /** No ticks from now on, also after restarts and deploys. @throws ConfigurationError for an unknown name */
    pause(name: string): Promise<void>
    /** Ticks again; those of the pause are not made up for. @throws ConfigurationError for an unknown name */
    resume(name: string): Promise<void>
    /**
     * Forget the schedule; jobs that wait stay.
     * @throws ConfigurationError for an unknown name, and for a schedule that the code of a live worker declares
     */
    remove(name: string): Promise<void>
  }
  workers: {
    /**
     * Every worker that signed on and has not left. Where one seems silent, a second look after 2 seconds makes sure, since
     * clocks may differ.
     */
    list(): Promise<readonly WorkerStatus[]>
  }
  /**
   * What is wrong, and what to do: stuck queues, tasks without a handler, dead jobs, workers in trouble, and what the driver
   * knows of its product. The worst first; what is well is there too, as `ok`. A store that does not answer is a finding.
   * `deep`: also check every page of the store, which may take minutes; nothing else of this client goes on meanwhile, so
   * not in a process that works.
   */
  doctor(o?: { deep?: boolean }): Promise<readonly Finding[]>
}
