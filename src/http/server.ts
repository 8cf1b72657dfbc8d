// A gateway on a port of its own: started, and stopped without cutting off anybody.
import { createAdaptorServer } from '@hono/node-server'
import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import type { Gateway } from './gateway.js'
import { Problem } from './problem.js'

/** Milliseconds. A request that comes in drops must not hold a connection for ever. */
const TIMEOUTS = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 2_000, // how often Node looks for those that are over
} as const

export interface Listening {
  /** Such as `http://127.0.0.1:8787`. */
  readonly url: string
  readonly port: number
  /**
   * Take no new connection, answer what is under way, at most `grace` milliseconds, and cut off the rest. Called again with
   * less, it hurries.
   */
  stop(grace: number): Promise<void>
}

/** @throws the error of the socket: EADDRINUSE, EACCES, … */
export async function listen(gateway: Gateway, o: { host: string; port: number; open: boolean }): Promise<Listening> {
  let stopping = false

  async function answer(request: Request, server: unknown): Promise<Response> {
    const response = o.open && !isLocal(request) ? strange().response() : await gateway(request, server)
    if (stopping) response.headers.set('connection', 'close')
    return response
  }
  // Without TLS or HTTP/2 options it is a plain server.
  const server = createAdaptorServer({ fetch: answer, serverOptions: TIMEOUTS }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(o.port, o.host, () => {
      server.off('error', reject)
      resolve()
    })
  })

  const closed = new Promise<void>((resolve) => server.once('close', () => resolve()))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${o.host.includes(':') ? `[${o.host}]` : o.host}:${port}`,
    port,
    stop(grace) {
      const cut = setTimeout(() => server.closeAllConnections(), grace)
      stopping = true
      gateway.close()
      if (server.listening) server.close()
      server.closeIdleConnections()
      return closed.then(() => clearTimeout(cut))
    },
  }
}

/** Whether nobody but this machine can reach a server on this host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

/**
 * A page whose name was pointed at this machine after it was loaded is of our own origin for the browser; only the name gives
 * it away. Where anybody may do anything, only our own names are answered.
 */
function isLocal({ headers, url }: Request): boolean {
  const host = headers.get('host') ?? new URL(url).host
  const parsed = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : ''
  return isLoopback(parsed.replace(/^\[|\]$/g, ''))
}

function strange(): Problem {
  return new Problem('ERR_HOST', 'Without tokens this gateway answers to localhost and 127.0.0.1 only.')
}
