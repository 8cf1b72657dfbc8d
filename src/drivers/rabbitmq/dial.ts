// Opens one AMQP connection: loads amqplib when it is first needed, tries the hosts in turn, and checks who answers.
import type * as amqplibTypes from 'amqplib'
import type { ChannelModel, SocketOptions } from 'amqplib'
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { ConfigurationError } from '../../core/errors.js'
import { dialFailure, type DialFailure } from './errors.js'
import { shownBroker, type Host, type RabbitmqSettings } from './options.js'
import { serverOf, type Server } from './probe.js'
import { endSoon, gatherWrites } from './socket.js'

type Amqplib = typeof amqplibTypes

export interface Dialled {
  readonly connection: ChannelModel
  readonly server: Server
}

/** No host let us in. `message` is for users. */
export class DialError extends Error {
  readonly lasting: boolean
  constructor(failures: readonly DialFailure[]) {
    const lasting = failures.every((one) => one.lasting)
    // A host that refuses us for good says more than one that is away.
    const said = failures.filter((one) => one.lasting)
    const worth = said.length > 0 ? said : failures
    super([...new Set(worth.map((one) => one.message))].join(' '), { cause: worth[0]?.cause })
    this.lasting = lasting
  }
}

/**
 * @param first index of the host to begin with
 * @throws DialError
 */
export async function dialAny(
  s: RabbitmqSettings,
  o: { readonly purpose: string; readonly first: number; readonly signal: AbortSignal },
): Promise<Dialled> {
  const failures: DialFailure[] = []
  for (let n = 0; n < s.hosts.length && !o.signal.aborted; n++) {
    const at = s.hosts[(o.first + n) % s.hosts.length]!
    try {
      return await dialHost(s, at, o)
    } catch (error) {
      failures.push(dialFailure(error, s, at))
    }
  }
  throw new DialError(failures)
}

async function dialHost(
  s: RabbitmqSettings,
  at: Host,
  o: { readonly purpose: string; readonly signal: AbortSignal },
): Promise<Dialled> {
  const amqplib = await loadAmqplib()
  const socketOptions: SocketOptions = {
    ...(s.tls && { ...s.tls, socket: await tcp(s, at, o.signal) }),
    // Without it a confirmed publish waited 33 ms for the kernel to collect more.
    noDelay: true,
    timeout: s.connectTimeout,
    credentials:
      s.auth === 'external' ? amqplib.credentials.external() : amqplib.credentials.plain(s.username, s.password),
    clientProperties: { connection_name: `${s.connectionName} ${o.purpose} ${hostname()}:${process.pid}` },
  }
  // Of net.connect, which amqplib passes it to: ends a dial whose link is closed.
  Object.assign(socketOptions, { signal: o.signal })
  const connection = await amqplib.connect(
    {
      protocol: s.tls ? 'amqps' : 'amqp',
      hostname: at.host,
      port: at.port,
      vhost: encodeURIComponent(s.vhost),
      heartbeat: s.heartbeat / 1000,
      frameMax: s.frameMax,
    },
    socketOptions,
  )
  connection.on('error', () => {}) // an error without a listener would end the process
  gatherWrites(connection)
  try {
    return { connection, server: serverOf(connection, shownBroker(s, [at])) }
  } catch (error) {
    await connection.close().catch(() => {})
    endSoon(connection)
    throw error
  }
}

/** A TCP connection under TLS: tls.connect takes no signal, and tells its errors from those of TCP. */
async function tcp(s: RabbitmqSettings, at: Host, signal: AbortSignal): Promise<Socket> {
  const socket = connectSocket({ host: at.host, port: at.port, signal })
  socket.on('error', () => {}) // told by once() or by TLS, whichever listens just then
  socket.setTimeout(s.connectTimeout, () => socket.destroy(new Error('connect ETIMEDOUT')))
  await once(socket, 'connect')
  socket.setTimeout(0)
  socket.removeAllListeners('timeout')
  return socket
}

let loading: Promise<Amqplib> | undefined

/** @throws ConfigurationError that says what to install */
function loadAmqplib(): Promise<Amqplib> {
  return (loading ??= load().catch((error: unknown) => {
    loading = undefined
    throw error
  }))
}

async function load(): Promise<Amqplib> {
  // A name that bundlers do not follow: amqplib is the user's to install, and only with this driver.
  const name = 'amqplib'
  try {
    const module = (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as Amqplib & { default?: Amqplib }
    return module.default ?? module
  } catch (cause) {
    throw new ConfigurationError(
      'RabbitMQ needs the package amqplib, which could not be loaded. Run: npm i amqplib@^2.1.0',
      { cause },
    )
  }
}
