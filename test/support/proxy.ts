// A TCP proxy between a driver and its server, so that a test can take the server away without stopping it.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'

export interface Proxy {
  readonly port: number
  /** Connections that are open now. */
  connections(): number
  /** End every connection; new ones are let in. */
  cut(): void
  /** End every connection and each new one at once, until `mend`. */
  away(): void
  /** Let in connections and bytes of neither direction, and lose none, until `mend`: a network that swallows packets. */
  freeze(): void
  /** As before `away` or `freeze`. */
  mend(): void
  close(): Promise<void>
}

/** @param tls accept TLS, and speak plainly with the server */
export async function startProxy(to: { host: string; port: number }, tls?: TlsOptions): Promise<Proxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let state: 'open' | 'away' | 'frozen' = 'open'

  const accept = (near: Socket) => {
    near.on('error', () => near.destroy())
    if (state === 'away') return near.destroy()
    const far = connect({ ...to, noDelay: true })
    const pair = [near, far] as const
    pairs.add(pair)
    far.on('error', () => far.destroy())
    near.on('close', () => {
      far.destroy()
      pairs.delete(pair)
    })
    // Frozen, it does not tell that the server has hung up.
    far.on('close', () => {
      if (state !== 'frozen') near.destroy()
    })
    for (const [from, into] of [pair, [far, near] as const]) {
      from.on('data', (bytes: Buffer) => {
        if (!into.write(bytes)) from.pause()
      })
      into.on('drain', () => {
        if (state !== 'frozen') from.resume()
      })
      if (state === 'frozen') from.pause()
    }
    return undefined
  }

  const server = tls ? createTlsServer(tls, accept) : createServer({ noDelay: true }, accept)
  server.on('tlsClientError', () => {}) // a test of TLS errors makes some
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => pairs.size,
    cut,
    away() {
      state = 'away'
      cut()
    },
    freeze() {
      state = 'frozen'
      for (const pair of pairs) for (const socket of pair) socket.pause()
    },
    mend() {
      state = 'open'
      for (const [near, far] of pairs) {
        if (far.destroyed) near.destroy()
        near.resume()
        far.resume()
      }
    },
    async close() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
