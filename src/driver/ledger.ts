// The port of a store that keeps the books of jobs which another broker moves. Store first, then broker: a job is written,
// handed to the broker, started by the worker that gets the message, and settled in the store before its message is
// acknowledged. Whatever dies between two of these steps, the store knows what is left to do.
import type { DeadReason, JobError } from '../core/errors.js'
import type { Envelope } from '../core/envelope.js'
import type { Delivery } from './delivery.js'
import type { Receipt } from './receipts.js'

/**
 * One handing of a job to the broker. The ticket grows with each handing of the same job; a message with an older ticket is
 * stale and is acknowledged unseen. So it does no harm to hand a job over once more when in doubt.
 */
export interface Handing {
  readonly id: string
  readonly ticket: number
}

/** What stands for an envelope; with a ticket when it is to be handed to the broker now. */
export interface Added extends Receipt {
  readonly ticket?: number
}

/** A job that is to be handed to the broker. */
export interface DueHanding extends Handing {
  readonly envelope: Envelope
  readonly suspect: boolean
}

/**
 * What arrived from the broker. Without a ticket the store may know nothing of it, because whoever sent it does not know the
 * store or wrote nothing (`history: 'final'`): then it is written first, with what the broker knows of its course.
 */
export interface Arrival {
  readonly envelope: Envelope
  readonly ticket?: number
  /** Of a message without a ticket. `run` and `attempts`: those before this hand-over. */
  readonly course?: { readonly run: number; readonly attempts: number; readonly suspect: boolean }
}

/** How a job ended that the store hears of only now. */
export interface Ended {
  readonly envelope: Envelope
  readonly state: 'completed' | 'dead'
  readonly run: number
  readonly attempt: number
  readonly result?: string
  readonly reason?: DeadReason
  readonly error?: JobError
  /** Of earlier attempts. */
  readonly errors?: readonly JobError[]
}

/** Where a started job is held. */
export interface LedgerHolder<Tx = never> {
  /**
   * The job of an arrival is this worker's from now on: its delivery, to be settled as any other, with run, attempt, crashes
   * and suspect by the store's books. `undefined`: the message is stale (it has finished, was cancelled or removed, was
   * handed over again, or is in a worker's hands already), and is to be acknowledged unseen. In the order of the arrivals.
   * A worker that does not beat gets nothing: then it rejects.
   */
  start(arrivals: readonly Arrival[]): Promise<readonly (Delivery<Tx> | undefined)[]>
  /** Nothing more will be started. What is in hand may still be settled. */
  stop(): Promise<void>
}

export interface Ledger<Tx = never> {
  /**
   * Write new jobs, as `Broker.publish` would: all or none, with unique keys, duplicates, conflicts and `tx`. A job that is
   * ready gets a ticket, and is left to the caller for a while; one that is delayed, or written with `tx`, gets none: `due`
   * tells when its time has come. A duplicate of a job that somebody else is about to hand over makes it due at once, under a
   * ticket that is not his: if he has to withdraw it, it stays.
   */
  add(o: { readonly envelopes: readonly Envelope[]; readonly tx?: Tx }): Promise<readonly Added[]>
  /** The broker has these: they need no handing any more. */
  handed(o: { readonly handings: readonly Handing[] }): Promise<void>
  /** The broker has refused these for certain: remove those whose ticket still holds and which nobody has started. */
  withdraw(o: { readonly handings: readonly Handing[] }): Promise<void>
  /**
   * Take jobs that are to be handed to the broker now, each with a new ticket: what was delayed, comes again, was given back,
   * or whose publisher died. Others leave them alone for a while; if nobody reports them as handed, they come again, and at
   * once when the store takes back what `worker`, in whose name they are taken, has in its hands.
   * `nextDueIn`: milliseconds until the next one.
   */
  due(o: {
    readonly limit: number
    readonly worker?: string
  }): Promise<{ readonly handings: readonly DueHanding[]; readonly nextDueIn?: number }>
  /** Where the jobs of one consumer are held while they are in its worker's hands. */
  hold(o: { readonly queue: string; readonly worker: string }): Promise<LedgerHolder<Tx>>
  /**
   * Write down jobs that have ended and of which the store may know nothing. `false` for each that has ended before: then
   * nothing was written for it.
   */
  record(o: { readonly ended: readonly Ended[] }): Promise<readonly boolean[]>
}

/** How long a job that was given to somebody for handing is left alone, in milliseconds. */
export const HANDING_PATIENCE = 30_000
