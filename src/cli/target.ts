// Which database a command works on, and a client for it.
import type { Client as AnyClient } from '../connect.js'
import { hasCode } from '../core/errors.js'
import { withoutSecret } from '../core/url.js'
import type { Logger } from '../observe/log.js'
import { Failure, UsageError } from './fail.js'
import type { GlobalFlags } from './flags.js'

/** The command line has no transactions of its own. */
export type Client = AnyClient<any>

export interface DialOptions {
  /** Make the file and its schema when they are not there. Commands that only look or enqueue must not. */
  readonly create: boolean
  readonly log?: Logger
  /** `false`: MILLRACE_STORE and MILLRACE_NAMESPACE are not meant. */
  readonly environment?: boolean
  /** Instead of the one that the user gave. */
  readonly namespace?: string
  /** How long a write may go unanswered, in milliseconds; the client's default where left out. */
  readonly publishTimeout?: number
}

/**
 * Variables of a file for this process; what the environment has already stays. Of a file that is not there Node speaks
 * itself, and ends with 9, before anything of ours runs: https://github.com/nodejs/node/issues/54232.
 */
export function loadEnvFile(file: string): void {
  try {
    process.loadEnvFile(file)
  } catch (error) {
    throw new UsageError(`--env-file: ${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * A client whose database answers; the caller closes it.
 * @throws UsageError or ConfigurationError for a URL that is none; Failure when the database does not open
 */
export async function dial(flags: GlobalFlags, o: DialOptions): Promise<Client> {
  const url = urlOf(flags)
  const store = o.environment === false ? (flags.store ?? '') : storeOf(flags)
  if (url.startsWith('memory:') && !o.create)
    throw new UsageError(`"${url}" lives in one process, so this command would see nothing. Give --url sqlite:FILE.`)
  const broker = await checkedUrl(url, o.create)
  const { createClient, historyFromEnvironment } = await import('../connect.js')
  const namespace = o.namespace ?? namespaceOf(flags, o.environment !== false)
  const options = {
    migrate: o.create,
    ...(o.log && { log: o.log }),
    ...(namespace !== undefined && { namespace }),
    ...(o.publishTimeout !== undefined && { publishTimeout: o.publishTimeout }),
  }
  const client =
    store === ''
      ? createClient(broker, options)
      : createClient(
          {
            broker,
            store: await checkedUrl(store, o.create),
            ...(o.environment !== false && historyFromEnvironment()),
          },
          options,
        )
  try {
    await client.connect()
  } catch (error) {
    await client.close()
    const { code, message } = error as { code?: unknown; message: string }
    throw code === 'ERR_UNSUPPORTED' ? error : new Failure(message, { cause: error })
  }
  return client as Client
}

/** `dial`, use, and close in any case. */
export async function withClient<T>(
  flags: GlobalFlags,
  o: DialOptions,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await dial(flags, o)
  try {
    return await use(client)
  } catch (error) {
    // The command is right, but this product cannot do it.
    throw hasCode(error, 'ERR_UNSUPPORTED') ? new Failure(error.message, { cause: error }) : error
  } finally {
    await client.close()
  }
}

/** Settings in the URL are checked before anything is opened, so that a wrong URL is told from a broken database. */
async function checkedUrl(url: string, create: boolean): Promise<string> {
  if (!url.startsWith('sqlite:')) return url
  const { optionsFromUrl, settingsOf } = await import('../drivers/sqlite/options.js')
  const { create: wanted } = settingsOf(optionsFromUrl(url))
  return create || !wanted ? url : `${url}${url.includes('?') ? '&' : '?'}create=false`
}

/** The database's URL to show, without a password. */
export function databaseOf(flags: GlobalFlags): string {
  return withoutSecret(urlOf(flags))
}

/** The same for a log line: the database, or the broker with its store. */
export function placeOf(flags: GlobalFlags): Readonly<Record<string, string>> {
  const url = databaseOf(flags)
  const store = storeOf(flags)
  const namespace = namespaceOf(flags, true)
  const within = namespace === undefined ? {} : { namespace }
  if (store !== '') return { broker: url, store: withoutSecret(store), ...within }
  return { ...(/^amqps?:/.test(url) ? { broker: url } : { database: url }), ...within }
}

const namespaceOf = (flags: GlobalFlags, environment: boolean) =>
  flags.namespace ?? ((environment && process.env['MILLRACE_NAMESPACE']) || undefined)

const storeOf = (flags: GlobalFlags) => flags.store || process.env['MILLRACE_STORE'] || ''

function urlOf(flags: GlobalFlags): string {
  const url = flags.url || process.env['MILLRACE_URL']
  if (url) return url
  throw new UsageError('No database was named. Give --url sqlite:jobs.db, or set MILLRACE_URL=sqlite:jobs.db.')
}
