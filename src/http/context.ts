// What the routes of a gateway share.
import type { ClientParts } from '../client/client.js'
import type { Catalogue } from './catalogue.js'
import type { Flow } from './flow.js'
import type { Settings } from './options.js'
import type { Caller } from './tokens.js'

export interface House {
  readonly parts: ClientParts<any>
  readonly settings: Settings
  readonly catalogue: Catalogue
  readonly flow: Flow
}

/** A request that was let in. */
export interface Admitted {
  readonly request: Request
  readonly url: URL
  readonly caller: Caller
}
