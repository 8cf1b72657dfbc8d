// What a driver is to the bench: Millrace on it, what to compare it with, in which cases, and how fast it should be.
import type { Target } from '../cases/case.js'
import type { Service } from '../service.js'
import type { Peer, Subject } from '../subject.js'

export interface MeasuredDriver {
  /** Its durability modes, the default first. */
  readonly durabilities: readonly string[]
  readonly peers: readonly Peer[]
  /** Names of the cases that it can be measured in, with what is to be reached. */
  readonly cases: Readonly<Record<string, readonly Target[]>>
  /** Millrace on it. */
  subject(o: { durability: string }): Subject
  /** Versions of the libraries behind it, for the line of a figure. */
  versions(): Readonly<Record<string, string>>
  /** The server that it needs. */
  start?(): Promise<Service>
}
