// What the two halves of the driver say to each other. The front is what the client and the worker call; the back holds the
// connection, usually in a thread of its own. Everything here is plain data, in arrays where there is much of it: what
// crosses a thread is copied, and arrays copy fastest.
import type { ReadVerb, WriteVerb } from './operations.js'
import type { SqlValue } from './engine.js'

/** Everything that the front asks for in one turn of its event loop. */
export interface Turn {
  readonly n: number
  readonly credits: readonly Credit[]
  /** `ACK` values for each job that is done. The bulk of all traffic. */
  readonly acks: readonly SqlValue[]
  readonly calls: readonly Call[]
}

/** A lane may have received so many deliveries in all since it was opened; and so many suspects have left its hands. */
export type Credit = readonly [lane: number, allowed: number, suspectsEnded: number]

export type Call = readonly [n: number, verb: ReadVerb | WriteVerb | ControlVerb, args: unknown, rows: number]

/** What is said to the back itself rather than to the database. */
export type ControlVerb = 'open' | 'setup' | 'openLane' | 'closeLane' | 'hold' | 'listen' | 'ping' | 'close'

/** What the back has to say, after a transaction or a read. */
export interface Reply {
  answers?: (readonly [n: number, value: unknown])[]
  failures?: (readonly [n: number, error: unknown])[]
  /** What became of the acks of a turn: positions of those whose run had lost the job, or the error that stopped all. */
  acked?: (readonly [turn: number, lost: readonly number[], error?: unknown])[]
  /** Rows that were claimed, `ROW` values each. */
  deliveries?: (readonly [lane: number, values: SqlValue[]])[]
  signals?: readonly ('work' | 'done')[]
  log?: (readonly [level: 'debug' | 'info' | 'warn', message: string, fields: Record<string, unknown>])[]
}

/** How the halves reach each other. */
export type Post<M> = (message: M) => void
