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
  for (const e of envelopes)
    values.push(
      e.id,
      e.queue,
      e.name,
      e.body,
      headersText(e.headers),
      e.priority,
      e.enqueuedAt,
      e.keep.completed,
      e.keep.dead,
      rareOf(e),
    )
  return values
}

function headersText(headers: Envelope['headers']): string {
  for (const _ in headers) return JSON.stringify(headers)
  return '{}'
}

function rareOf({ notBefore, expiresAt, unique, group }: Envelope): string | null {
  if (notBefore === undefined && expiresAt === undefined && unique === undefined && group === undefined) return null
  return JSON.stringify({ notBefore, expiresAt, unique, group })
}
