// What operations on the database need besides the database.

import type { LeaseWatch } from '../../driver/leases.js'

/** What an operation tells the back beside its answer. */
export interface Hooks {
  /** There may be something to take in this queue, or in any. */
  ready(queue?: string): void
  /** Something has finished. */
  done(): void
  log(level: 'debug' | 'info' | 'warn', message: string, fields: Record<string, unknown>): void
}

export interface OperationSettings {
  /** The watches that workers of this driver keep over others. */
  readonly watches: Map<string, LeaseWatch>
  readonly lease: number
  readonly maxCrashes: number
  /** Jobs are moved by another broker. */
  readonly ledger: boolean
  /** For how many milliseconds a job that was given to somebody to be handed to that broker is left alone. */
  readonly handingPatience: number
}
