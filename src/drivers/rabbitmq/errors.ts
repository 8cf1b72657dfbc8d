// What amqplib and the broker say when they refuse, in words that tell what to do. No message here has a password in it.
import { BrokerUnavailableError, ConfigurationError, PayloadTooLargeError, messageOf } from '../../core/errors.js'
import { shownBroker, type Host, type RabbitmqSettings } from './options.js'

/** Why a dial failed. */
export interface DialFailure {
  /** What happened and what to do, in sentences. */
  readonly message: string
  /** Nothing that waiting mends: the same settings will fail again. */
  readonly lasting: boolean
  readonly cause: unknown
}

/** Why one host did not let us in. */
export function dialFailure(error: unknown, s: RabbitmqSettings, at: Host): DialFailure {
  const text = messageOf(error)
  const { code } = error as { code?: unknown }
  const where = shownBroker(s, [at])
  const lasting = (message: string): DialFailure => ({ message, lasting: true, cause: error })
  const passing = (message: string): DialFailure => ({ message, lasting: false, cause: error })

  if (error instanceof ConfigurationError) return lasting(text)
  if (code === 'ECONNREFUSED')
    return passing(`Nothing listens at ${where}. Start RabbitMQ there, or correct host and port.`)
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return passing(`The name "${at.host}" is not known to DNS (${code}). Correct the host of the URL.`)
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH')
    return passing(`There is no way through the network to ${where} (${code}). Look at routes and firewalls.`)
  if (/Login was refused/.test(text) || /403 \(ACCESS-REFUSED\)/.test(text)) return lasting(refusedLogin(s, at, where))
  if (/Expected ConnectionOpenOk/.test(text)) return lasting(refusedVhost(s, where))
  if (/SASL mechanism/.test(text))
    return lasting(
      `The broker at ${where} does not take the login that was asked for (auth: "${s.auth}"). ${s.auth === 'external' ? 'Enable the plugin rabbitmq_auth_mechanism_ssl there' : 'Enable PLAIN there (auth_mechanisms)'}, or choose another.`,
    )
  if (isTlsError(error)) return lasting(tlsTrouble(text, code, s, where))
  if (/ETIMEDOUT/.test(`${text} ${String(code)}`))
    return passing(
      `${where} did not answer within ${s.connectTimeout} ms. Look whether the broker is overloaded or out of file handles (rabbitmqctl status), whether a firewall drops packets, and whether the port speaks ${s.tls ? 'AMQP over TLS' : 'AMQP without TLS'}.`,
    )
  if (/frame size|Invalid frame|Unrecogni[sz]ed|Bad frame|unexpected frame|Frame on channel/i.test(text))
    return lasting(noAmqp(where, s))
  // Also a broker that is just going down hangs up, so this may pass.
  if (/Socket closed abruptly|ECONNRESET|EPIPE|socket hang up|Unexpected close/.test(`${text} ${String(code)}`))
    return passing(
      `${where} hung up before it had let us in. If it does so each time, the port speaks no AMQP or ${s.tls ? 'no TLS' : 'wants TLS (amqps://)'}; else the broker is just starting or stopping.`,
    )
  return passing(`${where} could not be opened: ${text}`)
}

/** The error of `Link.open`. */
export function unavailable(message: string, cause: unknown): BrokerUnavailableError {
  return new BrokerUnavailableError(message, { outcome: 'not-sent', cause })
}

function refusedLogin(s: RabbitmqSettings, at: Host, where: string): string {
  const local = at.host === 'localhost' || at.host === '::1' || at.host.startsWith('127.')
  if (s.username === 'guest' && !local)
    return `The broker at ${where} refused the user "guest", which RabbitMQ lets in from its own machine only. Make a user: rabbitmqctl add_user <name>, and give it in the URL.`
  return `The broker at ${where} refused the user "${s.username}" or its password (403 ACCESS_REFUSED). Correct them in the URL, where special characters are percent-encoded; rabbitmqctl authenticate_user ${s.username} tells whether a password is right.`
}

function refusedVhost(s: RabbitmqSettings, where: string): string {
  return `The broker at ${where} refused the virtual host "${s.vhost}" (530 NOT_ALLOWED): there is none of this name, or the user "${s.username}" may not enter it, or it has as many connections as it may. See rabbitmqctl list_vhosts; make it with: rabbitmqctl add_vhost ${s.vhost}, and let the user in with: ${grant(s)}`
}

function noAmqp(where: string, s: RabbitmqSettings): string {
  return `What listens at ${where} does not speak AMQP 0-9-1${s.tls ? '' : ' (or wants TLS: amqps://)'}. RabbitMQ listens on port 5672, with TLS on 5671; 15672 is its web page.`
}

function isTlsError(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return (
    typeof code === 'string' &&
    /^(ERR_(SSL|TLS|OSSL)|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO|HOSTNAME_MISMATCH|ERR_CRYPTO)/.test(code)
  )
}

function tlsTrouble(text: string, code: unknown, s: RabbitmqSettings, where: string): string {
  const name = String(code)
  const lead = `TLS with ${where} failed (${name}): `
  if (name === 'ERR_SSL_WRONG_VERSION_NUMBER' || name === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return `${lead}that port speaks no TLS. Write amqp:// for plain AMQP, or give the port of the TLS listener (5671).`
  if (name === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `${lead}the server's certificate is for another name. Connect by a name that is in it, or give tls.servername (server_name_indication in the URL).`
  if (/SELF_SIGNED|UNABLE_TO_|DEPTH_ZERO|CERT_UNTRUSTED/.test(name))
    return `${lead}the server's certificate is signed by nobody that this process trusts. Give the authority's certificate as tls.ca (cacertfile in the URL).`
  if (name === 'CERT_HAS_EXPIRED' || name === 'CERT_NOT_YET_VALID')
    return `${lead}the server's certificate is not valid today. Renew it, or correct this machine's clock.`
  if (/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|BAD_CERTIFICATE|ALERT/.test(name))
    return `${lead}the server refused us${s.tls?.cert ? ', so it does not trust our certificate' : '; it may want a certificate of ours. Give tls.cert and tls.key (certfile and keyfile in the URL)'}.`
  return `${lead}${text}`
}

/** The command that lets our user do what Millrace needs in its vhost. */
export function grant(s: RabbitmqSettings): string {
  const [own, alsoDefault] = [`'^${s.prefix}\\.'`, `'^(${s.prefix}\\.|amq\\.default$)'`]
  return `rabbitmqctl set_permissions -p ${s.vhost} ${s.username} ${own} ${alsoDefault} ${own}`
}

/** What the broker said when it closed a channel or connection: `Operation failed: QueueDeclare; 404 (NOT-FOUND) with message "…"`. */
export interface Refusal {
  readonly code: number
  readonly text: string
}

export function refusalOf(error: unknown): Refusal | undefined {
  const { code } = error as { code?: unknown }
  const text = messageOf(error)
  const [, digits, inner] = /(\d{3}) \([A-Z-]+\)(?: with message "(.*)")?$/s.exec(text) ?? []
  const number = typeof code === 'number' ? code : Number(digits)
  return Number.isInteger(number) && number >= 200 && number < 600 ? { code: number, text: inner ?? text } : undefined
}

/** The queue is there and its node is not, as for a moment while a broker starts (`absent` in rabbit_amqqueue.erl). */
const ABSENT = /is down or inaccessible/

/**
 * The broker's refusal of something we asked on a channel or connection, as an error that says what to do. What is no
 * refusal comes back as it is.
 */
export function refusalError(error: unknown, s: RabbitmqSettings): Error {
  const refusal = refusalOf(error)
  if (!refusal) return error instanceof Error ? error : new Error(messageOf(error))
  const { code, text } = refusal
  const because = { cause: error }
  const size = TOO_LARGE.exec(text)
  if (size || code === 311) return new PayloadTooLargeError('The message', ...sizes(size))
  switch (code) {
    case 320:
      return unavailable(`RabbitMQ closed the connection: ${text}. It is stopping, or an operator closed it.`, error)
    case 403:
      return new ConfigurationError(forbidden(text, s), because)
    case 404:
      if (ABSENT.test(text))
        return unavailable(
          `RabbitMQ cannot reach the node that holds a queue: ${text}. It starts, or that node is down.`,
          error,
        )
      return new ConfigurationError(
        `RabbitMQ has not what was asked for: ${text}. Run: millrace setup; or look who deleted it.`,
        because,
      )
    case 405:
      return new ConfigurationError(
        `RabbitMQ: ${text}. The queue is exclusive to another connection, so it was made by another program. Delete it there, or give this client another prefix.`,
        because,
      )
    case 406:
      return /timeout/i.test(text)
        ? unavailable(
            `RabbitMQ took a job away that ran longer than its consumer_timeout: ${text}. Shorten the task's timeout, or raise consumer_timeout in rabbitmq.conf and tell the driver by the option consumerTimeout.`,
            error,
          )
        : new ConfigurationError(inequivalent(text, s), because)
    case 501:
    case 502:
    case 503:
    case 504:
    case 505:
      return unavailable(
        `RabbitMQ closed the connection over a broken frame: ${code} ${text}. Look whether something between this process and the broker (a proxy, a load balancer) changes what is sent.`,
        error,
      )
    case 506:
      return unavailable(
        `RabbitMQ has not enough resources: ${text}. Look at its limits of channels, memory and disk: rabbitmqctl status.`,
        error,
      )
    case 530:
      return new ConfigurationError(
        `RabbitMQ does not allow this: ${text}. The limits: rabbitmqctl list_vhost_limits.`,
        because,
      )
    case 540:
      return new ConfigurationError(
        `RabbitMQ does not know what was asked: ${text}. The driver needs RabbitMQ 3.10 or later, with the feature flags quorum_queue and stream_queue: rabbitmqctl enable_feature_flag all.`,
        because,
      )
    default:
      return unavailable(`RabbitMQ refused: ${code} ${text}.`, error)
  }
}

/** `message size 1001 is larger than max size 1000`, since 4.0 `… than configured max size …`: the broker's max_message_size */
const TOO_LARGE = /message size (\d+) is larger than (?:configured )?max size (\d+)/

const sizes = (found: RegExpExecArray | null): [bytes: number, limit: number] => [
  Number(found?.[1]),
  Number(found?.[2]),
]

function forbidden(text: string, s: RabbitmqSettings): string {
  if (!/access to/.test(text)) return `RabbitMQ refused: ${text}. Choose another name or prefix.`
  // access to queue 'q' in vhost 'v' refused for user 'u'; later versions say which access.
  const permission = /(configure|write|read) access to/.exec(text)?.[1]
  return `RabbitMQ refused: ${text}. The user "${s.username}" lacks ${permission ? `the permission to ${permission}` : 'a permission'} there. Run: ${grant(s)}`
}

/** `inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' but current is none` */
const INEQUIVALENT =
  /inequivalent arg '([^']+)' for (queue|exchange) '(.*?)' in vhost '.*?': received (.*?) but current is (.*?)$/s

/** A 406 of a declaration: which object, which argument, both values, and what to do. */
function inequivalent(text: string, s: RabbitmqSettings): string {
  const [, argument, kind, name, ours, theirs] = INEQUIVALENT.exec(text) ?? []
  if (argument === undefined) return `RabbitMQ refused: ${text}.`
  return `The ${kind} "${name}" in vhost "${s.vhost}" exists already with another ${argument}: it has ${plain(theirs)}, Millrace needs ${plain(ours)}. If another program made it, give this client another prefix; if it is Millrace's and empty, delete it: rabbitmqctl delete_queue ${name} -p ${s.vhost}. If it has jobs, move them first: millrace drain.`
}

function plain(value = ''): string {
  return value.replace(/^the value /, '').replace(/ of type '\w+'$/, '')
}
