// What verifiers share: secrets, HMACs compared in constant time, and the age of a timestamp.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { checkEventName } from '../../core/event.js'
import { ConfigurationError } from '../../core/errors.js'
import { refuseUnknown } from '../../core/task.js'
import type { WebhookDelivery, WebhookOptions, WebhookOutcome, WebhookSource } from './source.js'

/** How old, or how far ahead, a signed timestamp may be; milliseconds. */
const TOLERANCE = 300_000
const SHORTEST_SECRET = 8

/** The secrets of an option as bytes. The message of an error never shows one. @throws ConfigurationError */
export function secretsOf(
  where: string,
  o: WebhookOptions,
  read: (secret: string) => Buffer = (secret) => Buffer.from(secret, 'utf8'),
): readonly Buffer[] {
  refuseUnknown(where, o, ['secret', 'event'])
  const given: readonly unknown[] = Array.isArray(o.secret) ? o.secret : [o.secret]
  const usable = given.length > 0 && given.every((one) => typeof one === 'string' && one.length >= SHORTEST_SECRET)
  if (!usable)
    throw new ConfigurationError(
      `${where}.secret: give the sender's secret, at least ${SHORTEST_SECRET} characters, or a list of them.`,
    )
  return (given as readonly string[]).map((one) => read(one))
}

/** Names the event of a delivery. @throws ConfigurationError for a name that is not allowed */
export function namer(
  where: string,
  { event }: WebhookOptions,
  byDefault: (delivery: WebhookDelivery, name: string) => string,
): WebhookSource['event'] {
  if (event === undefined) return (delivery, name) => allowed(byDefault(delivery, name))
  if (typeof event === 'function') return event
  if (typeof event !== 'string')
    throw new ConfigurationError(`${where}.event: ${typeof event} is neither a name nor a function that gives one.`)
  checkEventName(event)
  return () => event
}

/** A sender's own words as the name of an event: what such a name cannot hold becomes `_`. */
function allowed(name: string): string {
  const tokens = name.split('.').map((token) => token.replace(/[^A-Za-z0-9_-]/g, '_') || '_')
  return tokens.join('.').slice(0, 200).replace(/\.$/, '')
}

/** Whether one of the signatures is the HMAC-SHA256 of the parts under one of the secrets. */
export function isSigned(
  secrets: readonly Buffer[],
  parts: readonly (string | Uint8Array)[],
  signatures: readonly Buffer[],
): boolean {
  let found = false
  for (const secret of secrets) {
    const hmac = createHmac('sha256', secret)
    for (const part of parts) hmac.update(part)
    const expected = hmac.digest()
    // Every pair is compared, so that the time tells nothing.
    for (const signature of signatures)
      if (signature.length === expected.length && timingSafeEqual(signature, expected)) found = true
  }
  return found
}

/** Why a timestamp in whole seconds is refused; `undefined` when it is recent. */
export function staleness(seconds: string, now: number): string | undefined {
  if (!/^\d{1,12}$/.test(seconds)) return 'its timestamp is no number'
  const age = Math.abs(now - Number(seconds) * 1_000)
  return age <= TOLERANCE ? undefined : `its timestamp is ${Math.round(age / 1_000)} s away`
}

export const refused = (why: string): WebhookOutcome => ({ is: 'refused', why })
export const malformed = (why: string): WebhookOutcome => ({ is: 'malformed', why })

/** The body as a JSON object; `undefined` when it is none. */
export function objectOf(body: Uint8Array | string): Record<string, unknown> | undefined {
  try {
    const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body)
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
