// Where a case runs: what the author of a driver provides.
import type { Driver, StatefulDriver } from '../../driver/driver.js'

/** Settings of one driver that a case asks for; milliseconds. */
export interface OpenOptions {
  readonly lease?: number
  readonly maxCrashes?: number
  /** For how long a job that was given to somebody to be handed to a broker is left alone. */
  readonly handingPatience?: number
}

/** A fresh and empty place for jobs, made for one case and destroyed after it. */
export interface Place {
  /** A driver on this place, not connected. Each is another process, as far as the product can tell. */
  open(o: OpenOptions): Driver
  /** Of a pair: the broker and the store that `open` puts together, not connected. */
  parts?(o: OpenOptions): { readonly broker: Driver; readonly store: StatefulDriver<any> }
  destroy(): Promise<void>
  /** Make the product answer nobody until `end()`; of a pair: the store. */
  outage?(): Promise<{ end(): Promise<void> }>
  /** Of a pair: make the broker answer nobody until `end()`. */
  brokerOutage?(): Promise<{ end(): Promise<void> }>
  /** A transaction of the user's own, where the driver joins one. */
  transaction?(): { readonly tx: unknown; commit(): void | Promise<void>; rollback(): void | Promise<void> }
}
