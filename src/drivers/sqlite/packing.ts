// New jobs on their way to the connection: one flat array for all, as that crosses a thread fastest.
import type { Envelope, UniqueClaim } from '../../core/envelope.js'

/** Values of one envelope: id, queue, name, body, headers, priority, enqueued, kept completed, kept dead, rare. */
export const ENVELOPE = 10
export type Packed = readonly (string | number | null)[]

/** What most jobs do not have, as JSON. */
export interface RareParts {
  readonly notBefore?: number
  readonly expiresAt?: number
  readonly unique?: UniqueClaim
  readonly group?: string
}

export function packEnvelopes(envelopes: readonly Envelope[]): Packed {
  const values: (string | number | null)[] = []
  for (const envelope of envelopes) packEnvelope(values, envelope)
  return values
}

/** Put its values behind those that are there. */
export function packEnvelope(values: (string | number | null)[], e: Envelope): void {
  const { id, queue, name, body, priority, enqueuedAt, keep } = e
  values.push(id, queue, name, body, headersText(e.headers), priority, enqueuedAt, keep.completed, keep.dead, rareOf(e))
}

function headersText(headers: Envelope['headers']): string {
  for (const _ in headers) return JSON.stringify(headers)
  return '{}'
}

function rareOf({ notBefore, expiresAt, unique, group }: Envelope): string | null {
  if (notBefore === undefined && expiresAt === undefined && unique === undefined && group === undefined) return null
  return JSON.stringify({ notBefore, expiresAt, unique, group })
}
