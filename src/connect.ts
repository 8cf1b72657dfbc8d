// `createClient` and `connect`: puts a driver, a client and its workers together. The only place that knows drivers by name.
import { createClientParts, type ClientParts } from './client/client.js'
import type { Surroundings } from './client/session.js'
import type { ClientCore, ClientOptions, Target } from './client/types.js'
import type { Duration } from './core/duration.js'
import { ClientClosedError, ConfigurationError, UnsupportedError } from './core/errors.js'
import { refuseUnknown } from './core/task.js'
import { withoutSecret } from './core/url.js'
import type { Driver } from './driver/driver.js'
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

const SCHEMES = ['memory:', 'sqlite:'] as const
const PLANNED = ['amqp:', 'amqps:', 'postgres:', 'postgresql:', 'redis:', 'rediss:', 'kafka:']

/**
 * A client; synchronous, it dials at first use.
 * @param url `sqlite:jobs.db` or `memory:`; left out, the environment variable MILLRACE_URL at first use
 */
export function createClient(url?: string, o?: ClientOptions): Client
export function createClient<Tx = never>(target: Target<Tx>, o?: ClientOptions): Client<Tx>
export function createClient<Tx>(target?: string | Target<Tx>, o: ClientOptions = {}): Client<Tx> {
  if (typeof target === 'string') schemeOf(target)
  return clientOn<Tx>(() => loadDriver(target ?? urlFromEnvironment()), o)
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
    if (schemeOf(target) === 'memory:')
      return (await import('./drivers/memory/index.js')).memoryFromUrl(target) as Driver<Tx>
    const { optionsFromUrl, sqlite } = await import('./drivers/sqlite/index.js')
    return sqlite(optionsFromUrl(target)) as Driver<never> as Driver<Tx>
  }
  if (typeof target === 'object' && target !== null && 'traits' in target) return target
  if (typeof target === 'object' && target !== null && 'store' in target)
    throw new UnsupportedError(
      'A broker with a separate store is not available in this version. Use one driver that is both, such as sqlite.',
    )
  throw new ConfigurationError(
    'The target is neither a URL nor a driver. Give "sqlite:jobs.db", or sqlite({ file: "jobs.db" }).',
  )
}

function schemeOf(url: string): (typeof SCHEMES)[number] {
  const scheme = SCHEMES.find((one) => url.startsWith(one))
  if (scheme) return scheme
  const planned = PLANNED.find((one) => url.startsWith(one))
  if (planned)
    throw new UnsupportedError(
      `"${planned}" URLs are not available in this version. Available: sqlite:jobs.db, memory:.`,
    )
  throw new ConfigurationError(
    `"${withoutSecret(url)}" is no URL that Millrace knows. Write sqlite:jobs.db, sqlite:/path/to/jobs.db or memory:.`,
  )
}

function urlFromEnvironment(): string {
  const url = process.env['MILLRACE_URL']
  if (url !== undefined && url !== '') return url
  throw new ConfigurationError('No URL was given and MILLRACE_URL is not set. Give one, for example sqlite:jobs.db.')
}

async function importWorker(url: URL): Promise<WorkerDefinition> {
  const module = (await import(/* webpackIgnore: true */ /* @vite-ignore */ url.href)) as { default?: WorkerDefinition }
  if (module.default?.kind !== 'worker')
    throw new ConfigurationError(
      `${url.href} does not export a worker as its default. Write: export default defineWorker({ … }).`,
    )
  return module.default
}
