// What a scenario is, and what the runner gives it.
import type { RabbitmqNode } from '../support/rabbitmq-node.js'
import type { BrokerSite, BrokerSiteOptions } from './broker-site.js'
import type { Random } from './random.js'
import type { Site, SiteOptions } from './site.js'

export interface Scenario {
  readonly name: string
  /** What it does, in a sentence. */
  readonly does: string
  /** What must hold, in a sentence. */
  readonly holds: string
  /** Its part of the time, weighed against those of the others. */
  readonly share: number
  run(chaos: Chaos): Promise<Outcome>
}

/** How much trouble a scenario makes at least that counts it; the time may make it more. */
export interface Amount {
  readonly jobs: number
  readonly kills: number
  /** `rabbitmqctl stop_app` and `start_app`. */
  readonly stops: number
  /** Connections closed by the server. */
  readonly closes: number
}

export interface Chaos {
  /** How long to make trouble; winding up comes on top. */
  readonly seconds: number
  /** Only what the command line asks for. */
  readonly amount: Partial<Amount>
  readonly random: Random
  /** A file with its processes; ended and removed with the scenario, or kept when something was violated. */
  site(o: SiteOptions): Promise<Site>
  /** The same on a broker without a store. */
  brokerSite(o: BrokerSiteOptions): Promise<BrokerSite>
  /** A RabbitMQ of the run's own, started once for all scenarios; or why there is none here, on a laptop. */
  rabbit(): Promise<RabbitmqNode | string>
  /** Run at the end, after every process has ended; `keep`: what was under test is to be looked at. */
  after(end: (keep: boolean) => void): void
  /** A line while it goes on; not more often than every few seconds. */
  progress(text: () => string): void
}

export type Values = Readonly<Record<string, number | string>>

export interface Outcome {
  readonly figures: Values
  readonly violations: readonly string[]
  /** Why it could not run here. */
  readonly skipped?: string
}
