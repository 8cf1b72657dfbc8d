// Options of an AMQP URL: amqp://user:password@host:5672/vhost?heartbeat=8s. Nothing of it but hosts and vhost is ever shown.
import { readFileSync } from 'node:fs'
import { ConfigurationError } from '../../core/errors.js'
import type { RabbitmqOptions, TlsOptions } from './options.js'

/** Settings of the URL that become options as they are, as numbers, or by a rule of their own. */
const TEXTS = ['prefix', 'connectionName', 'connectTimeout'] as const
const NUMBERS = ['frameMax', 'confirmWindow', 'maxCrashes'] as const
const OTHERS = ['heartbeat', 'consumerTimeout', 'auth'] as const
/** Named as RabbitMQ names them: https://www.rabbitmq.com/docs/uri-query-parameters */
const TLS = ['cacertfile', 'certfile', 'keyfile', 'server_name_indication', 'verify'] as const

/** An @ anywhere but before the hosts would be part of a password that is not encoded, and might end up in a message. */
const FORM = /^(amqps?):\/\/(?:([^/?#]*)@)?([^@/?#]*)(?:\/([^@/?#]*))?(?:\?([^@#]*))?$/

/**
 * Options of a URL: `amqp://user:password@host:5672/vhost`, `amqps://…` for TLS, several hosts as `a:5672,b:5672`. Special
 * characters are percent-encoded; a vhost that begins with a slash is written `%2F…`. Settings follow `?`: `heartbeat`
 * (`8s`; a plain number is seconds, as in RabbitMQ's own URLs), `connectTimeout`, `connectionName`, `prefix`, `frameMax`,
 * `confirmWindow`, `maxCrashes`, `consumerTimeout` (`45m`, or `false`), `auth=external`; with amqps `cacertfile`, `certfile`,
 * `keyfile` (paths), `server_name_indication`, `verify=verify_none`.
 * @throws ConfigurationError
 */
export function optionsFromUrl(url: string): RabbitmqOptions {
  const [, scheme, user, hosts = '', vhost = '', query = ''] = FORM.exec(url) ?? []
  if (scheme === undefined)
    throw new ConfigurationError(
      'The AMQP URL is not well-formed. Write amqp://user:password@host:5672/vhost, and percent-encode special characters: @ is %40, / is %2F, # is %23, ? is %3F.',
    )
  const where = `${scheme}://${user === undefined ? '' : '***@'}${hosts}/${vhost}`
  const options: Record<string, unknown> = {}
  if (hosts !== '') options['hosts'] = hosts.split(',').map((one) => decoded(one, where, 'host'))
  if (vhost !== '') options['vhost'] = decoded(vhost, where, 'vhost')
  if (user !== undefined) Object.assign(options, credentialsOf(user, where))
  const tls: Record<string, unknown> = {}
  for (const [key, value] of new URLSearchParams(query)) {
    if (isOneOf(TLS, key)) {
      if (scheme === 'amqp')
        throw new ConfigurationError(`"${where}": ${key} is about TLS. Write amqps:// instead of amqp://.`)
      Object.assign(tls, tlsOption(key, value, where))
    } else if (isOneOf(TEXTS, key)) options[key] = value
    else if (isOneOf(NUMBERS, key)) options[key] = /^\d+$/.test(value) ? Number(value) : value
    else if (key === 'auth') options[key] = value
    else if (key === 'consumerTimeout') options[key] = value === 'false' ? false : value
    else if (key === 'heartbeat') options[key] = /^\d+$/.test(value) ? `${value}s` : value
    else
      throw new ConfigurationError(
        `"${where}": there is no setting "${key}". The settings are: ${[...TEXTS, ...NUMBERS, ...OTHERS, ...TLS].join(', ')}.`,
      )
  }
  if (scheme === 'amqps') options['tls'] = tls
  return options as RabbitmqOptions
}

function credentialsOf(user: string, where: string): { username: string; password: string } {
  const colon = user.indexOf(':')
  return {
    username: decoded(colon < 0 ? user : user.slice(0, colon), where, 'user'),
    password: colon < 0 ? '' : decoded(user.slice(colon + 1), where, 'password'),
  }
}

function tlsOption(key: (typeof TLS)[number], value: string, where: string): TlsOptions {
  if (key === 'cacertfile') return { ca: contentsOf(key, value, where) }
  if (key === 'certfile') return { cert: contentsOf(key, value, where) }
  if (key === 'keyfile') return { key: contentsOf(key, value, where) }
  if (key === 'server_name_indication') return { servername: value }
  if (value === 'verify_none' || value === 'verify_peer') return { rejectUnauthorized: value === 'verify_peer' }
  throw new ConfigurationError(`"${where}": verify is verify_peer or verify_none.`)
}

function contentsOf(key: string, path: string, where: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new ConfigurationError(`"${where}": the file of ${key}, ${path}, cannot be read.`, { cause })
  }
}

function decoded(text: string, where: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ConfigurationError(`"${where}": the ${part} is not percent-encoded correctly. A % itself is written %25.`)
  }
}

function isOneOf<T extends string>(list: readonly T[], text: string): text is T {
  return (list as readonly string[]).includes(text)
}
