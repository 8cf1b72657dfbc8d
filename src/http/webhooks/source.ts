// What a webhook source is: it verifies the raw bytes of a request and says which event they are.
/** A request to a webhook, before anything of it is believed. */
export interface WebhookRequest {
  /** The name under which the source is mounted. */
  readonly name: string
  readonly headers: Headers
  /** As they were sent. A signature is over these, not over what JSON makes of them. */
  readonly body: Uint8Array
  /** Epoch milliseconds. */
  readonly now: number
}

/** What a verified request says. */
export interface WebhookDelivery {
  /** Given by the sender, and the same when it sends again: an id that came before is published no second time. */
  readonly id: string
  /** What the sender calls it: `invoice.paid`, `push`. */
  readonly type: string
  readonly payload: unknown
  /** What it is about. */
  readonly subject?: string
}

/** The outcome of looking at a request. */
export type WebhookOutcome =
  /** It is genuine. */
  | { readonly is: 'delivery'; readonly delivery: WebhookDelivery }
  /** It is genuine, and only wants this text back: the handshake of a new endpoint. */
  | { readonly is: 'challenge'; readonly answer: string }
  /** It is not, or too old. `why` is for the log; the sender learns nothing of it. */
  | { readonly is: 'refused'; readonly why: string }
  /** It is genuine, but nothing that can be an event. `why` is answered. */
  | { readonly is: 'malformed'; readonly why: string }

/** Verifies requests of one sender, and makes events of them. Made by `github`, `stripe`, `slack` or `standardWebhooks`. */
export interface WebhookSource {
  readonly kind: 'webhook'
  receive(request: WebhookRequest): WebhookOutcome | Promise<WebhookOutcome>
  /**
   * The event's name for a delivery; `undefined`: it is answered well and dropped.
   * @param name under which the source is mounted
   */
  event(delivery: WebhookDelivery, name: string): string | undefined
}

/** Options of every webhook source. */
export interface WebhookOptions {
  /** Shared with the sender. Several while one replaces the other: each of them is accepted. */
  secret: string | readonly string[]
  /**
   * The event's name, or a function that gives it. `undefined` from the function: the delivery is answered well and dropped.
   * Default: the name of the sender and what it calls the event: `github.push`, `stripe.invoice.paid`.
   */
  event?: string | ((delivery: WebhookDelivery) => string | undefined)
}
