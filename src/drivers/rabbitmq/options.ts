// Options of the rabbitmq driver, checked and with their defaults. url.ts reads them from a URL.
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { toMs, type Duration } from '../../core/duration.js'
import { ConfigurationError, shown } from '../../core/errors.js'
import { refuseUnknown } from '../../core/task.js'

export interface RabbitmqOptions {
  /**
   * The brokers of one cluster: `'mq.example.com'`, `'mq.example.com:5673'`, `'[::1]:5672'`, or several. A connection begins
   * with one at random and tries the others in turn. Default: `localhost`. Port: 5672, with `tls` 5671.
   */
  hosts?: string | readonly string[]
  /** Default `guest`, which RabbitMQ lets in from its own machine only. */
  username?: string
  /** Default `guest`. Never shown in a message or log. */
  password?: string
  /** How to log in: `plain` (default) with username and password, `external` by the certificate in `tls`. */
  auth?: 'plain' | 'external'
  /** The virtual host; default `/`. */
  vhost?: string
  /**
   * `true`: TLS, the server's certificate checked against the authorities that Node trusts. Or options as of
   * `tls.connect`: `ca`, `cert`, `key`, `servername`, `rejectUnauthorized` … Default: no TLS.
   */
  tls?: boolean | TlsOptions
  /** What names of our queues and exchanges begin with; default `millrace`. */
  prefix?: string
  /** Shown in RabbitMQ's list of connections, with the connection's purpose behind it; default `millrace`. */
  connectionName?: string
  /**
   * A connection that is silent for two of these is dead, and its jobs go to others; default 8 s, whole seconds of at
   * least 1 s. A handler that blocks the event loop for longer loses its job.
   */
  heartbeat?: Duration
  /** How long one host may take to let a connection in; default 5 s. */
  connectTimeout?: Duration
  /** The longest frame, in bytes; default 131072, at least 8192, which is what RabbitMQ 4.1 and later ask for. */
  frameMax?: number
  /** How many publishes may wait for the broker's confirmation at once; default 1000. */
  confirmWindow?: number
  /** After how many crashes of the process that ran it a job is dead, reason `crashed`; default 3. */
  maxCrashes?: number
  /**
   * The broker's `consumer_timeout`, which takes away jobs that run longer and cannot be asked for; default 30 min, as in
   * RabbitMQ. Give yours if you have changed it, and `false` if you have switched it off.
   */
  consumerTimeout?: Duration | false
}

/** Options as of `tls.connect` that make sense for one server among others. */
export type TlsOptions = Omit<ConnectionOptions, 'host' | 'port' | 'socket' | 'path' | 'timeout' | 'lookup'>

export interface Host {
  readonly host: string
  readonly port: number
}

/** Options with their defaults; times in milliseconds. */
export interface RabbitmqSettings {
  readonly hosts: readonly Host[]
  readonly username: string
  readonly password: string
  readonly auth: 'plain' | 'external'
  readonly vhost: string
  readonly tls: TlsOptions | undefined
  readonly prefix: string
  readonly connectionName: string
  readonly heartbeat: number
  readonly connectTimeout: number
  readonly frameMax: number
  readonly confirmWindow: number
  readonly maxCrashes: number
  readonly consumerTimeout: number | undefined
}

const KNOWN = [
  'hosts',
  'username',
  'password',
  'auth',
  'vhost',
  'tls',
  'prefix',
  'connectionName',
  'heartbeat',
  'connectTimeout',
  'frameMax',
  'confirmWindow',
  'maxCrashes',
  'consumerTimeout',
] as const

/** Names of queues have 255 bytes, of which a namespace and a queue's name of 100 characters each take the greater part. */
const PREFIX = /^[A-Za-z0-9][A-Za-z0-9_-]{0,29}$/
/** RabbitMQ 4.1 refuses connections that cannot take a frame of this size: https://www.rabbitmq.com/docs/configure#frame-max */
const SMALLEST_FRAME = 8192

/** @throws ConfigurationError that names the option and its value, never a secret. */
export function settingsOf(options: RabbitmqOptions): RabbitmqSettings {
  refuseUnknown('rabbitmq()', options, KNOWN)
  const tls = tlsOf(options.tls)
  const auth = options.auth ?? 'plain'
  if (auth !== 'plain' && auth !== 'external')
    throw new ConfigurationError(`auth: ${shown(auth)} is neither "plain" nor "external".`)
  if (auth === 'external' && tls === undefined)
    throw new ConfigurationError('auth: "external" logs in by a certificate, so it needs `tls` with `cert` and `key`.')
  const prefix = textOf('prefix', options.prefix, 'millrace')
  if (!PREFIX.test(prefix))
    throw new ConfigurationError(
      `prefix: ${shown(prefix)} is not allowed. Use 1 to 30 letters, digits, - and _, and begin with a letter or digit.`,
    )
  const consumerTimeout = options.consumerTimeout ?? '30m'
  return {
    hosts: hostsOf(options.hosts, tls === undefined ? 5672 : 5671),
    username: textOf('username', options.username, 'guest'),
    password: textOf('password', options.password, 'guest', true),
    auth,
    vhost: textOf('vhost', options.vhost, '/'),
    tls,
    prefix,
    connectionName: textOf('connectionName', options.connectionName, 'millrace'),
    heartbeat: heartbeatOf(options.heartbeat),
    connectTimeout: Math.max(1, toMs(options.connectTimeout ?? '5s', 'connectTimeout')),
    frameMax: wholeOf('frameMax', options.frameMax, 131_072, SMALLEST_FRAME),
    confirmWindow: wholeOf('confirmWindow', options.confirmWindow, 1000, 1),
    maxCrashes: wholeOf('maxCrashes', options.maxCrashes, 3, 1),
    consumerTimeout: consumerTimeout === false ? undefined : consumerTimeoutOf(consumerTimeout),
  }
}

/** The broker as it may be shown: `amqp://a:5672,b:5672/vhost`. */
export function shownBroker(s: RabbitmqSettings, hosts: readonly Host[] = s.hosts): string {
  const list = hosts.map(({ host, port }) => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`).join(',')
  return `${s.tls ? 'amqps' : 'amqp'}://${list}/${encodeURIComponent(s.vhost)}`
}

function hostsOf(given: RabbitmqOptions['hosts'], port: number): readonly Host[] {
  const hosts = typeof given === 'string' ? [given] : (given ?? ['localhost'])
  if (!Array.isArray(hosts) || hosts.length === 0)
    throw new ConfigurationError('hosts: name at least one, such as "localhost" or "mq.example.com:5672".')
  return hosts.map((one: unknown) => hostOf(one, port))
}

function hostOf(text: unknown, port: number): Host {
  const [, six, plain, digits] = /^(?:\[([^\]]+)\]|([^:/@\s?#]+))(?::(\d{1,5}))?$/.exec(String(text)) ?? []
  const host = six ?? plain
  const number = digits === undefined ? port : Number(digits)
  if (typeof text === 'string' && host !== undefined && number >= 1 && number <= 65_535 && (!six || isIP(six) === 6))
    return { host, port: number }
  // What stands before an @, or behind a colon where a port should be, may be a password.
  const visible = String(text)
    .replace(/^.*@/s, '***@')
    .replace(/:(?!\d{1,5}$).*$/s, ':***')
  throw new ConfigurationError(
    `hosts: "${visible}" is no host. Write mq.example.com, mq.example.com:5672 or [::1]:5672; user and vhost are options of their own.`,
  )
}

function tlsOf(given: RabbitmqOptions['tls']): TlsOptions | undefined {
  if (given === undefined || given === false) return undefined
  if (given === true) return {}
  if (typeof given === 'object' && given !== null) return given
  throw new ConfigurationError(`tls: give true, or options such as { ca, cert, key }, not a ${typeof given}.`)
}

function heartbeatOf(given: Duration = '8s'): number {
  const ms = toMs(given, 'heartbeat')
  if (ms >= 1000 && ms <= 600_000 && ms % 1000 === 0) return ms
  throw new ConfigurationError(
    `heartbeat: ${ms} ms is not allowed. AMQP counts whole seconds; give "1s" to "10m". It cannot be switched off, since nothing else tells of a connection that was cut.`,
  )
}

function consumerTimeoutOf(given: Duration): number {
  const ms = toMs(given, 'consumerTimeout')
  if (ms >= 60_000) return ms
  throw new ConfigurationError(
    `consumerTimeout: ${ms} ms is not allowed. RabbitMQ looks once a minute; give 1 min or more, or false if the broker has none.`,
  )
}

function textOf(option: string, given: unknown, byDefault: string, secret = false): string {
  const text = given ?? byDefault
  if (typeof text === 'string' && (text !== '' || secret)) return text
  throw new ConfigurationError(`${option}: give a text${secret ? '' : `, not ${shown(given)}`}.`)
}

function wholeOf(option: string, given: unknown, byDefault: number, least: number): number {
  const number = given ?? byDefault
  if (typeof number === 'number' && Number.isInteger(number) && number >= least && number < 2 ** 31) return number
  throw new ConfigurationError(`${option}: ${shown(given)} is no whole number of ${least} or more.`)
}
