// Who is let in: the caller of a request by its token, and not too often.
import type { Admitted } from './context.js'
import { Problem } from './problem.js'
import { createRateLimit, type RateLimit } from './rate-limit.js'
import { createAuthenticate, type GatewayToken } from './tokens.js'

const DEFAULT_RATE = { perSecond: 1_000 }

/** @param server what the server gives along with a request */
export interface Door {
  /** @throws Problem 401 or 429 */
  admit(request: Request, server: unknown): Admitted
  /** For who needs no token: the sender of a webhook. @throws Problem 429 */
  pass(request: Request, server: unknown): void
}

/** @throws ConfigurationError for a token, rate or address that is not allowed */
export function createDoor(o: {
  readonly tokens: readonly GatewayToken[] | undefined
  readonly rateLimit: RateLimit | false | undefined
  readonly address: ((request: Request) => string | undefined) | undefined
}): Door {
  const authenticate = createAuthenticate(o.tokens)
  const takeOne = createRateLimit(o.rateLimit ?? DEFAULT_RATE)

  function pass(request: Request, server: unknown): void {
    const address = o.address ? o.address(request) : socketAddress(server)
    takeOne(`address ${address ?? ''}`)
  }

  return {
    pass,
    admit(request, server) {
      const caller = authenticate(request.headers.get('authorization'))
      // Who has a token has a limit of its own; who tries tokens has that of the address.
      if (caller instanceof Problem || caller.name === undefined) pass(request, server)
      else takeOne(`token ${caller.name}`)
      if (caller instanceof Problem) throw caller
      return { request, url: new URL(request.url), caller }
    },
  }
}

/** Of @hono/node-server. */
function socketAddress(server: unknown): string | undefined {
  const { incoming } = (server ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } }
  return incoming?.socket?.remoteAddress
}
