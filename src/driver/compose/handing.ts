// What is written on a message of a pair: its ticket, by which a stale one is told from the one that counts.
import { NO_HEADERS, type Envelope } from '../../core/envelope.js'

/** Header with the ticket of a message: its number, and a word behind it when the job is a suspect. */
const TICKET_HEADER = 'millrace-ticket'
const SUSPECT = ' suspect'

/** The envelope as the broker gets it: with its ticket, and without what the store has seen to already. */
export function messageFor(envelope: Envelope, ticket: number): Envelope {
  return withTicket(envelope, `${ticket}`)
}

/**
 * The same for a suspect. @param priority where the broker has levels: with it the job comes back soon after the death of its
 * worker, and not behind all that has been enqueued since; only one at a time is run anyway
 */
export function suspectMessageFor(envelope: Envelope, ticket: number, priority?: number): Envelope {
  const message = withTicket(envelope, `${ticket}${SUSPECT}`)
  return priority === undefined ? message : { ...message, priority }
}

function withTicket(envelope: Envelope, ticket: string): Envelope {
  const { notBefore: _notBefore, unique: _unique, ...rest } = envelope
  return { ...rest, headers: { ...envelope.headers, [TICKET_HEADER]: ticket } }
}

/** The ticket of a message; `undefined`: it came from somebody who does not know the store. */
export function ticketOf({ headers }: Envelope): number | undefined {
  const text = headers[TICKET_HEADER]
  if (text === undefined) return undefined
  const ticket = Number.parseInt(text, 10)
  return Number.isNaN(ticket) ? undefined : ticket
}

/** Whether a worker died with this job in hand, by what its message says. */
export const saysSuspect = ({ headers }: Envelope): boolean => headers[TICKET_HEADER]?.endsWith(SUSPECT) ?? false

/** The envelope as it was before it got its ticket. */
export function withoutTicket(envelope: Envelope): Envelope {
  let headers: Record<string, string> | undefined
  for (const name in envelope.headers) if (name !== TICKET_HEADER) (headers ??= {})[name] = envelope.headers[name]!
  return { ...envelope, headers: headers ?? NO_HEADERS }
}
