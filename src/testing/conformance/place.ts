// Where a case runs: what the author of a driver provides.
import type { StatefulDriver } from '../../driver/driver.js'

/** Settings of one driver that a case asks for; milliseconds. */
export interface OpenOptions {
  readonly lease?: number
  readonly maxCrashes?: number
}

/** A fresh and empty place for jobs, made for one case and destroyed after it. */
export interface Place {
  /** A driver on this place, not connected. Each is another process, as far as the product can tell. */
  open(o: OpenOptions): StatefulDriver
  destroy(): Promise<void>
  /** Make the product answer nobody until `end()`. */
  outage?(): Promise<{ end(): Promise<void> }>
  /** A transaction of the user's own, where the driver joins one. */
  transaction?(): { readonly tx: unknown; commit(): void | Promise<void>; rollback(): void | Promise<void> }
}
