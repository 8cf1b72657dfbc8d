// `createClient` and `connect`: puts a driver, a client and its workers together. The only place that knows drivers by name.
import { createClientParts, type ClientParts } from './client/client.js'
import type { Surroundings } from './client/session.js'
import type { ClientCore, ClientOptions, Target } from './client/types.js'
import type { Duration } from './core/duration.js'
import { ClientClosedError, ConfigurationError, UnsupportedError } from './core/errors.js'
import { refuseUnknown } from './core/task.js'
import { withoutSecret } from './core/url.js'
import type { Driver, StatefulDriver } from './driver/driver.js'
import { eventsCompanion } from './events/companion.js'
import { schedulesCompanion } from './schedules/companion.js'
import type { Companion } from './worker/companion.js'
import { planOf } from './worker/define.js'
import type { Worker, WorkerDefinition, WorkerOptions, WorkOptions } from './worker/types.js'
import { startWorker } from './worker/worker.js'

/** Enqueues, asks, operates and works. Give services only a `Producer`. */
export interface Client<in Tx = never> extends ClientCore<Tx> {
  connect(): Promise<this>
  /**
   * Start a worker in this process, or the one that a module's URL exports as its default.
   * @throws ConfigurationError for what is no worker
   */
  work(worker: WorkerDefinition | WorkerOptions | URL, o?: WorkOptions): Promise<Worker>
}

/** What lives beside every worker. */
export const COMPANIONS: readonly Companion[] = [eventsCompanion, schedulesCompanion]

const SCHEMES = ['memory:', 'sqlite:', 'amqp:', 'amqps:'] as const
const PLANNED = ['postgres:', 'postgresql:', 'redis:', 'rediss:', 'kafka:']

/**
 * A client; synchronous, it dials at first use.
 * @param url `sqlite:jobs.db`, `memory:` or `amqp://…`; left out, the environment variables MILLRACE_URL and, where there is a
 * broker with a store, MILLRACE_STORE (and MILLRACE_HISTORY, `full` or `final`) at first use, and MILLRACE_NAMESPACE now,
 * unless `o` has a `namespace`
 */
export function createClient(url?: string, o?: ClientOptions): Client
export function createClient<Tx = never>(target: Target<Tx>, o?: ClientOptions): Client<Tx>
export function createClient<Tx>(target?: string | Target<Tx>, o: ClientOptions = {}): Client<Tx> {
  for (const url of isPair(target) ? [target.broker, target.store] : [target])
    if (typeof url === 'string') schemeOf(url)
  const options = target === undefined ? { ...namespaceFromEnvironment(), ...o } : o
  return clientOn<Tx>(() => loadDriver<Tx>(target ?? targetFromEnvironment()), options)
}

/** A client on the driver that `load` gives, which is called once, at first use. */
export function clientOn<Tx>(load: () => Promise<Driver<Tx>>, o: ClientOptions, around?: Surroundings): Client<Tx> {
  const parts = createClientParts<Tx>(load, o, around)
  /** Workers, also those that are still starting. */
  const workers = new Set<Promise<Worker>>()
  let closing: Promise<void> | undefined

  async function close(grace: Duration | undefined): Promise<void> {
    const stop = async (worker: Promise<Worker>) =>
      (await worker.catch(() => undefined))?.stop(grace === undefined ? {} : { grace })
    const stopped = await Promise.allSettled([...workers].map(stop))
    const closed = parts.session.close()
    parts.results.close()
    await closed
    for (const one of stopped) if (one.status === 'rejected') throw one.reason
  }

  async function start(worker: WorkerDefinition | WorkerOptions | URL, options: WorkOptions): Promise<Worker> {
    const plan = await planOf(worker instanceof URL ? await importWorker(worker) : worker, options)
    try {
      return await startWorker(parts, plan, options, COMPANIONS)
    } catch (error) {
      await plan.onStop?.() // what the worker's function has opened
      throw error
    }
  }

  const client: Client<Tx> = {
    ...parts.core,
    async connect() {
      await parts.session.open()
      return client
    },
    async work(worker, options = {}) {
      if (closing) throw new ClientClosedError()
      refuseUnknown('client.work()', options, ['queues', 'concurrency', 'signals', 'grace'])
      const starting = start(worker, options)
      workers.add(starting)
      const ended = starting.then((started) => started.done)
      void ended.catch(() => {}).then(() => workers.delete(starting))
      return starting
    },
    close: (options = {}) => (closing ??= close(options.grace)),
    [Symbol.asyncDispose]: () => client.close(),
  }
  PARTS.set(client, parts as ClientParts<never>)
  return client
}

/** `createClient(…).connect()`: a client whose store answers, or the error that says why not. */
export function connect(url?: string, o?: ClientOptions): Promise<Client>
export function connect<Tx = never>(target: Target<Tx>, o?: ClientOptions): Promise<Client<Tx>>
export async function connect<Tx>(target?: string | Target<Tx>, o?: ClientOptions): Promise<Client<Tx>> {
  const client = createClient<Tx>(target as Target<Tx>, o)
  try {
    return await client.connect()
  } catch (error) {
    await client.close()
    throw error
  }
}

const PARTS = new WeakMap<object, ClientParts<never>>()

/** The parts behind a client, for the tools that come with it. */
export function partsOf(client: Client<never>): ClientParts<never> {
  return PARTS.get(client)!
}

async function loadDriver<Tx>(target: string | Target<Tx>): Promise<Driver<Tx>> {
  if (typeof target === 'string') {
    // A URL gives no transactions, so its Tx is never.
    const scheme = schemeOf(target)
    if (scheme === 'memory:') return (await import('./drivers/memory/index.js')).memoryFromUrl(target) as Driver<Tx>
    if (scheme === 'amqp:' || scheme === 'amqps:') {
      const { optionsFromUrl, rabbitmq } = await import('./drivers/rabbitmq/index.js')
      return rabbitmq(optionsFromUrl(target)) as Driver<Tx>
    }
    const { optionsFromUrl, sqlite } = await import('./drivers/sqlite/index.js')
    return sqlite(optionsFromUrl(target)) as Driver<never> as Driver<Tx>
  }
  if (typeof target === 'object' && target !== null && 'traits' in target) return target
  if (isPair(target)) return loadPair(target)
  throw new ConfigurationError(
    'The target is neither a URL nor a driver. Give "sqlite:jobs.db", or sqlite({ file: "jobs.db" }).',
  )
}

type Pair<Tx> = Exclude<Target<Tx>, Driver<Tx>>

function isPair<Tx>(target: string | Target<Tx> | undefined): target is Pair<Tx> {
  return (
    typeof target === 'object' && target !== null && 'store' in target && 'broker' in target && !('traits' in target)
  )
}

async function loadPair<Tx>(target: Pair<Tx>): Promise<Driver<Tx>> {
  refuseUnknown('The target', target, ['broker', 'store', 'history'])
  const [broker, store] = [await loadDriver<never>(target.broker as Driver), await loadDriver<Tx>(target.store)]
  const { compose } = await import('./driver/compose.js')
  return compose<Tx>({
    broker: broker as Driver,
    store: store as StatefulDriver<Tx>,
    ...(target.history !== undefined && { history: target.history }),
  })
}

function schemeOf(url: string): (typeof SCHEMES)[number] {
  const scheme = SCHEMES.find((one) => url.startsWith(one))
  if (scheme) return scheme
  const planned = PLANNED.find((one) => url.startsWith(one))
  if (planned)
    throw new UnsupportedError(
      `"${planned}" URLs are not available in this version. Available: sqlite:jobs.db, memory:, amqp://host.`,
    )
  throw new ConfigurationError(
    `"${withoutSecret(url)}" is no URL that Millrace knows. Write sqlite:jobs.db, sqlite:/path/to/jobs.db, memory: or amqp://user:password@host/vhost.`,
  )
}

function targetFromEnvironment(): string | { broker: string; store: string; history?: 'full' | 'final' } {
  const { MILLRACE_URL: url = '', MILLRACE_STORE: store = '' } = process.env
  if (url === '')
    throw new ConfigurationError('No URL was given and MILLRACE_URL is not set. Give one, for example sqlite:jobs.db.')
  return store === '' ? url : { broker: url, store, ...historyFromEnvironment() }
}

/** How much a pair writes, by MILLRACE_HISTORY: for `connect`, and for the command line. */
export function historyFromEnvironment(): { history?: 'full' | 'final' } {
  const { MILLRACE_HISTORY: history = '' } = process.env
  return history === '' ? {} : { history: history as 'full' | 'final' } // checked where it is used
}

function namespaceFromEnvironment(): Pick<ClientOptions, 'namespace'> {
  const { MILLRACE_NAMESPACE: namespace = '' } = process.env
  return namespace === '' ? {} : { namespace }
}

async function importWorker(url: URL): Promise<WorkerDefinition> {
  const module = (await import(/* webpackIgnore: true */ /* @vite-ignore */ url.href)) as { default?: WorkerDefinition }
  if (module.default?.kind !== 'worker')
    throw new ConfigurationError(
      `${url.href} does not export a worker as its default. Write: export default defineWorker({ … }).`,
    )
  return module.default
}
