// The options of a gateway: what each means, its default, and the check where it enters.
import { LONGEST_TIMER, toMs, type Duration } from '../core/duration.js'
import { ConfigurationError, shown } from '../core/errors.js'
import type { Event } from '../core/event.js'
import { refuseUnknown, type Task } from '../core/task.js'
import type { RateLimit } from './rate-limit.js'
import type { GatewayToken } from './tokens.js'
import type { WebhookSource } from './webhooks/source.js'

/** Pages of other origins that may call the gateway. */
export interface Cors {
  /** Such as `https://app.example.com`; `'*'` for every page, which then still needs a token. */
  origins: readonly string[] | '*'
}

export interface GatewayOptions {
  /**
   * The tasks that may be enqueued, with their real schemas. Left out: all that workers have declared in the store, checked
   * by the JSON Schema that was kept of them.
   */
  tasks?: readonly Task[]
  /** The events whose payloads are checked by their real schemas. Left out: as for `tasks`. */
  events?: readonly Event[]
  /** Events that are not known: taken unchecked, or refused. Default: `'refuse'` with `events`, else `'accept'`. */
  unknownEvents?: 'accept' | 'refuse'
  /** Who may do what. Left out: anybody anything, fit only for loopback, or behind your own authentication. */
  tokens?: readonly GatewayToken[]
  /** Sources of webhooks by the name of their path: `{ stripe: stripe({ secret }) }` is `POST /webhooks/stripe`. */
  webhooks?: Readonly<Record<string, WebhookSource>>
  /** Where it is mounted, such as `/queue`; default at the root. */
  basePath?: string
  /** The largest body, in bytes; default 1 MiB, at most 64 MiB. A single input or event is never more than 1 MiB. */
  bodyLimit?: number
  /** For each token, or each address where there is none. Default `{ perSecond: 1000 }`; `false`: no limit. */
  rateLimit?: RateLimit | false
  /** Requests that are worked on at once, and as many again that only wait for a job; default 256. More get a 503. */
  maxInFlight?: number
  /**
   * How long a body may take to come, and how long the store may take, before the answer is 408 or 503; default 15 s. Keep
   * it above the client's `publishTimeout` (10 s), whose answer says whether anything was kept.
   */
  timeout?: Duration
  /** The longest that `Prefer: wait` is heeded for; default 60 s. */
  maxWait?: Duration
  /** Default: no page of another origin may call it. */
  cors?: Cors | false
  /**
   * The address of whoever calls, for the rate limit where there is no token. Behind a proxy: from the header that the proxy
   * sets. Default: that of the socket, where the server tells (@hono/node-server does); else all callers share one limit.
   */
  address?: (request: Request) => string | undefined
}

/** Options with their defaults, checked; durations in milliseconds. */
export interface Settings {
  readonly tasks: readonly Task[] | undefined
  readonly events: readonly Event[] | undefined
  readonly refusesUnknownEvents: boolean
  readonly webhooks: ReadonlyMap<string, WebhookSource>
  readonly basePath: string
  readonly bodyLimit: number
  readonly maxInFlight: number
  readonly timeout: number
  readonly maxWait: number
  readonly cors: Cors | undefined
  readonly address: ((request: Request) => string | undefined) | undefined
}

const KNOWN =
  'tasks events unknownEvents tokens webhooks basePath bodyLimit rateLimit maxInFlight timeout maxWait cors address'.split(
    ' ',
  )
const MIB = 1024 * 1024

/** `tokens` and `rateLimit` are checked by those who read them. @throws ConfigurationError */
export function settingsOf(o: GatewayOptions): Settings {
  refuseUnknown('gateway()', o, KNOWN)
  const { unknownEvents, basePath = '', cors = false, address } = o
  if (unknownEvents !== undefined && unknownEvents !== 'accept' && unknownEvents !== 'refuse')
    throw new ConfigurationError(`unknownEvents: ${shown(unknownEvents)} is neither 'accept' nor 'refuse'.`)
  if (typeof basePath !== 'string' || !/^(?:\/[A-Za-z0-9._~-]+)*$/.test(basePath))
    throw new ConfigurationError(
      `basePath: ${shown(basePath)} is no path. Write it with a slash in front and none behind: '/queue'.`,
    )
  if (address !== undefined && typeof address !== 'function')
    throw new ConfigurationError(`address: ${typeof address} is no function of the request.`)
  return {
    tasks: listOf('tasks', o.tasks),
    events: listOf('events', o.events),
    refusesUnknownEvents: (unknownEvents ?? (o.events ? 'refuse' : 'accept')) === 'refuse',
    webhooks: webhooksOf(o.webhooks ?? {}),
    basePath,
    bodyLimit: wholeNumber('bodyLimit', o.bodyLimit ?? MIB, 1, 64 * MIB),
    maxInFlight: wholeNumber('maxInFlight', o.maxInFlight ?? 256, 1, 100_000),
    timeout: duration('timeout', o.timeout ?? '15s'),
    maxWait: duration('maxWait', o.maxWait ?? '60s'),
    cors: corsOf(cors),
    address,
  }
}

function listOf<T>(option: string, list: readonly T[] | undefined): readonly T[] | undefined {
  if (list === undefined || Array.isArray(list)) return list
  throw new ConfigurationError(`${option}: ${shown(list)} is no list of ${option}.`)
}

function webhooksOf(given: Readonly<Record<string, WebhookSource>>): ReadonlyMap<string, WebhookSource> {
  for (const [name, source] of Object.entries(given)) {
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$/.test(name))
      throw new ConfigurationError(`webhooks: the name ${shown(name)} is not allowed. Use letters, digits, _ and -.`)
    if (source?.kind !== 'webhook')
      throw new ConfigurationError(
        `webhooks.${name}: this is no webhook source. Give github(…), stripe(…), slack(…) or standardWebhooks(…).`,
      )
  }
  return new Map(Object.entries(given))
}

function corsOf(cors: Cors | false): Cors | undefined {
  if (cors === false) return undefined
  if (typeof cors !== 'object' || cors === null)
    throw new ConfigurationError(`cors: ${shown(cors)} is no setting. Give { origins: ['https://…'] }, or false.`)
  refuseUnknown('cors', cors, ['origins'])
  const { origins } = cors
  if (origins === '*') return cors
  const stray = Array.isArray(origins) ? origins.find((one) => !isOrigin(one)) : origins
  if (stray === undefined && origins !== undefined) return cors
  throw new ConfigurationError(
    `cors.origins: ${shown(stray)} is no origin. Write scheme, host and port: ['https://app.example.com'], or '*'.`,
  )
}

function isOrigin(text: unknown): boolean {
  return typeof text === 'string' && URL.canParse(text) && new URL(text).origin === text
}

function wholeNumber(option: string, n: unknown, least: number, most: number): number {
  if (typeof n === 'number' && Number.isInteger(n) && n >= least && n <= most) return n
  throw new ConfigurationError(`${option}: ${shown(n)} is no whole number from ${least} to ${most}.`)
}

function duration(option: string, value: Duration): number {
  const ms = toMs(value, option)
  if (ms >= 1 && ms <= LONGEST_TIMER) return ms
  throw new ConfigurationError(`${option}: ${shown(value)} is not between 1ms and 24d.`)
}
