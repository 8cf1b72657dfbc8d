// What the workers of a store know of events: written by each worker, read by tools that have no code of theirs.
import type { StatefulDriver } from '../driver/driver.js'

/** Entries of `State` under this prefix, followed by an event's name, say what its subscribers know of it. */
export const EVENT_PREFIX = 'event/'
/** Under this one, followed by a subscription's name: what only its declaration tells. */
export const SUBSCRIPTION_PREFIX = 'subscription/'

export interface EventFacts {
  readonly name: string
  readonly takesPayload: boolean
  /** JSON Schema (2020-12) of the payload, where its library can tell. */
  readonly payloadSchema?: Record<string, unknown>
}

export interface SubscriptionFacts {
  readonly name: string
  /** The task that a `route` queues. */
  readonly routesTo: string
}

type Asked = Pick<StatefulDriver<any>, 'state' | 'traits'>

/** None where nothing is remembered. */
export async function readEvents({ state, traits }: Asked): Promise<readonly EventFacts[]> {
  if (!traits.remembers) return []
  return (await state.list({ prefix: EVENT_PREFIX })).map((entry) => JSON.parse(entry.value) as EventFacts)
}

/** None where nothing is remembered. */
export async function readSubscriptionFacts({ state, traits }: Asked): Promise<ReadonlyMap<string, SubscriptionFacts>> {
  if (!traits.remembers) return new Map()
  const facts = await state.list({ prefix: SUBSCRIPTION_PREFIX })
  return new Map(facts.map(({ value }) => JSON.parse(value) as SubscriptionFacts).map((one) => [one.name, one]))
}
