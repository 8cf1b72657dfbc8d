// `createTestClient`: a whole client in memory, whose time stands still, and whose jobs run when the test says so.
import type { ClientParts } from '../client/client.js'
import type { Surroundings } from '../client/session.js'
import type { EnqueueOptions } from '../client/types.js'
import { clientOn, COMPANIONS, partsOf, type Client } from '../connect.js'
import { decode } from '../core/codec.js'
import { toMs, type Duration } from '../core/duration.js'
import type { Envelope } from '../core/envelope.js'
import { readMessage } from '../core/cloud-event.js'
import { ConfigurationError } from '../core/errors.js'
import { checkEvent, type Event, type Message, type MessageOf } from '../core/event.js'
import { refuseUnknown, specOf, type Task } from '../core/task.js'
import { memory } from '../drivers/memory/index.js'
import type { StatefulDriver } from '../driver/driver.js'
import type { EventEnvelope } from '../driver/events.js'
import { createLogger, type Logger } from '../observe/log.js'
import { planOf, type WorkerPlan } from '../worker/define.js'
import type { WorkerDefinition, WorkerOptions } from '../worker/types.js'
import { createClock } from './clock.js'
import type { Fault } from './faults.js'
import { createRunner, type RunCounts, type Runner } from './runner.js'
import { withFaults } from './with-faults.js'

export type TestClientOptions = {
  /** The handlers that `runAll()` and `advance()` run. Without it jobs are only recorded. */
  worker?: WorkerDefinition | WorkerOptions
  /** The time at which the client's clock stands; default the time now. */
  now?: Date
  /** What goes wrong, below the client. */
  faults?: readonly Fault[]
  /** Default: none, for a test that fails on purpose should not fill the screen. `createLogger('debug')` shows everything. */
  log?: Logger
}

/** A job that was enqueued. */
export interface Enqueued<Send> {
  readonly id: string
  /** The input as it travels. */
  readonly input: Send
  /** The options as they were given. */
  readonly options: EnqueueOptions
}

/** A client for tests: everything a client does, on jobs in memory. */
export interface TestClient extends Client<any> {
  connect(): Promise<this>
  /**
   * The jobs of a task that were enqueued so far, by the client, by handlers through their `ctx`, or by ticks, in order. A call that
   * was answered with a standing job (`duplicate: true`) enqueued none.
   */
  enqueued<Send>(task: Task<Send>): readonly Enqueued<Send>[]
  /**
   * The events that were published so far, by the client or by handlers through their `ctx`, in order: each once, its payload
   * parsed by the event's schema.
   * @throws ConfigurationError for what is no event, or one whose schema is asynchronous
   */
  published<E extends Event>(event: E): readonly MessageOf<E>[]
  /**
   * Run every job that is due, one at a time and the oldest first, until nothing is ready: also jobs that handlers enqueue
   * meanwhile. Retries and delayed jobs are due later, so they wait for `advance()`. A handler that waits for the result of
   * a job that it enqueued lets the others run; one that waits for what is not due is left waiting.
   * @throws ConfigurationError without a `worker`, for what is no worker, and while another call is under way
   */
  runAll(): Promise<RunCounts>
  /**
   * Move the clock on. Jobs and retries that become due on the way are run at their time, in its order, and schedules tick
   * at theirs; what is due now runs first. Without a `worker` only the clock moves. The worker's schedules are declared by the
   * first call of this or `runAll()`, so their first ticks are after that.
   * @throws ConfigurationError for what is no duration, and as `runAll()`
   */
  advance(by: Duration): Promise<RunCounts>
  /** The time of the client's clock. `Date.now()` of the process is never changed. */
  now(): Date
  /** Faults that have not struck as often as they should: a test that counts on them expects none. */
  pendingFaults(): readonly Fault[]
}

const KNOWN = ['worker', 'now', 'faults', 'log']

/**
 * A client for tests, on a memory of its own. It needs no `connect()`, and it opens nothing that outlives the test, but
 * `close()` calls the worker's `onStop`.
 * @throws ConfigurationError for an option that is not allowed
 */
export function createTestClient(o: TestClientOptions = {}): TestClient {
  refuseUnknown('createTestClient()', o, KNOWN)
  const clock = createClock(o.now)
  const record = createRecord(async () => void (o.worker && (await declared(o.worker))))
  const driver = withFaults(record.watch(memory({ now: clock.now })), o.faults ?? [])
  const around: Surroundings = { now: clock.now, random: () => 1, made: record.made }
  const log = o.log ?? createLogger('silent')
  // It fits wherever a client with transactions is asked for, though a call with { tx } is refused: memory has none.
  const client = clientOn(async () => driver, { log }, around) as Client<any>
  const worker = o.worker
  let running = false
  let plan: WorkerPlan | undefined
  let declaring: Promise<WorkerPlan> | undefined
  let runner: Runner | undefined
  let closing: Promise<void> | undefined

  /** What the worker declares is there before the first event, as if it had run before. */
  function declared(given: WorkerDefinition | WorkerOptions): Promise<WorkerPlan> {
    return (declaring ??= (async () => {
      plan = await planOf(given, {})
      const parts = partsOf(client) as ClientParts<any>
      for (const companion of COMPANIONS) await companion.declare({ parts, driver: await parts.session.open(), plan })
      return plan
    })().catch((error: unknown) => {
      declaring = undefined // the next call tells it again
      throw error
    }))
  }

  async function started(given: WorkerDefinition | WorkerOptions): Promise<Runner> {
    const parts = partsOf(client) as ClientParts<any>
    return (runner ??= createRunner(parts, await declared(given), await parts.session.open()))
  }

  /** One call at a time, answered with what it came to. */
  async function counted(call: string, work: (from: Runner | undefined) => Promise<void>): Promise<RunCounts> {
    if (running)
      throw new ConfigurationError(
        `${call}: runAll() or advance() is under way. Await it first; handlers call neither.`,
      )
    running = true
    try {
      const own = worker && (await started(worker))
      const before = { ...NOTHING, ...own?.counts }
      await work(own)
      const after = { ...NOTHING, ...own?.counts }
      return {
        completed: after.completed - before.completed,
        dead: after.dead - before.dead,
        retried: after.retried - before.retried,
      }
    } finally {
      running = false
    }
  }

  async function close(options: { grace?: Duration }): Promise<void> {
    try {
      await runner?.stop()
      await client.close(options)
    } finally {
      await plan?.onStop?.()
    }
  }

  const test: TestClient = {
    ...client,
    async connect() {
      await client.connect()
      return test
    },
    close: (options = {}) => (closing ??= close(options)),
    [Symbol.asyncDispose]: () => test.close(),
    enqueued: (task) => record.of(task),
    published: (event) => record.ofEvent(event),
    now: () => new Date(clock.now()),
    pendingFaults: driver.pendingFaults,
    async runAll() {
      if (!worker)
        throw new ConfigurationError(
          'runAll() has no handlers to run. Write: createTestClient({ worker: { handlers: [...] } }).',
        )
      return counted('runAll()', async (own) => own?.runDue())
    },
    async advance(by) {
      const until = clock.now() + toMs(by, 'advance')
      return counted('advance()', async (own) => {
        await own?.runDue()
        for (let due = await own?.nextDue(); due !== undefined && due <= until; due = await own?.nextDue()) {
          clock.moveTo(due)
          await own?.runDue()
        }
        clock.moveTo(until)
      })
    },
  }
  return test
}

const NOTHING: RunCounts = { completed: 0, dead: 0, retried: 0 }

/**
 * Remembers what was enqueued and published: the options as a caller gave them, once the job or event is kept.
 * @param beforeEvents called before an event is published
 */
function createRecord(beforeEvents: () => Promise<void>) {
  const made = new Map<string, { readonly envelope: Envelope; readonly options: EnqueueOptions }>()
  const kept: { readonly envelope: Envelope; readonly options: EnqueueOptions }[] = []
  const events: EventEnvelope[] = []
  return {
    made(envelope: Envelope, { tx: _none, ...options }: EnqueueOptions<any>) {
      made.set(envelope.id, { envelope, options })
    },
    watch(driver: StatefulDriver): StatefulDriver {
      return {
        ...driver,
        broker: {
          ...driver.broker,
          async publish(o) {
            const receipts = await driver.broker.publish(o)
            for (const [i, { id }] of o.envelopes.entries()) {
              const one = made.get(id)
              if (one && !receipts[i]?.duplicate) kept.push(one)
              made.delete(id)
            }
            return receipts
          },
        },
        events: {
          ...driver.events,
          async publish(o) {
            await beforeEvents()
            const receipts = await driver.events.publish(o)
            events.push(...o.events.filter((_, i) => !receipts[i]?.duplicate))
            return receipts
          },
        },
        state: {
          ...driver.state,
          async set(o) {
            const version = await driver.state.set(o)
            // The jobs of ticks: there, unless a unique key has kept them out.
            const ids = (o.publish ?? []).map(({ id }) => id)
            const there = new Set((await driver.jobs.get({ ids })).map(({ envelope }) => envelope.id))
            for (const id of ids) {
              const one = made.get(id)
              if (one && version !== undefined && there.has(id)) kept.push(one)
              made.delete(id)
            }
            return version
          },
        },
      }
    },
    ofEvent<E extends Event>(event: E): readonly MessageOf<E>[] {
      const { name } = checkEvent(event)
      return events
        .filter((one) => one.name === name)
        .map(({ body }) => parsed(event, readMessage(body)) as MessageOf<E>)
    },
    of<Send>(task: Task<Send>): readonly Enqueued<Send>[] {
      specOf(task)
      return kept
        .filter(({ envelope }) => envelope.name === task.name)
        .map(({ envelope, options }) => ({
          id: envelope.id,
          input: decode(envelope.body, 'The input') as Send,
          options,
        }))
    },
  }
}

function parsed(event: Event, message: Message): Message {
  const schema = event['~payload']
  if (!schema) return message
  const checked = schema['~standard'].validate(message.payload)
  if ('then' in checked)
    throw new ConfigurationError(
      `published("${event.name}"): its schema is asynchronous. Look at the events' log instead: events.log().`,
    )
  return { ...message, payload: checked.issues === undefined ? checked.value : message.payload }
}
