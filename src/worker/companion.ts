// What lives beside a worker's intake without the worker knowing what it is: subscriptions to declare, schedules to tick.
import type { ClientParts } from '../client/client.js'
import type { StatefulDriver } from '../driver/driver.js'
import type { WorkerPlan } from './define.js'

export interface Company<Tx = any> {
  readonly parts: ClientParts<Tx>
  readonly driver: StatefulDriver<Tx>
  readonly plan: WorkerPlan
  /** Id of the worker; left out where nothing will run, as in `millrace setup`. */
  readonly worker?: string
}

export interface Companion {
  /** Write what the plan declares, before its first job is taken. */
  declare(o: Company): Promise<void>
  /** Go on beside the worker, from its first beat to its stop. */
  start?(o: Company & { readonly worker: string }): { stop(): Promise<void> }
}
