// Which pages in a browser may call a gateway.
import { Problem } from './problem.js'

/**
 * A page in a browser says where it comes from. Without this, any page that somebody opens could queue jobs at a gateway that
 * listens on their own machine.
 */
export function refuseForeignPages({ headers, url }: Request, allowed: readonly string[] | '*' | undefined): void {
  const origin = headers.get('origin')
  if (origin === null || allowed === '*' || allowed?.includes(origin)) return
  const host = headers.get('host') ?? new URL(url).host
  if (URL.canParse(origin) && new URL(origin).host === host) return
  throw new Problem('ERR_FORBIDDEN', 'Pages of this origin may not call the gateway. Allow them with `cors`.')
}
