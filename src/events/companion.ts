// A worker's subscriptions: declared before its first job, with what is known of their events.
import {
  EVENT_PREFIX,
  SUBSCRIPTION_PREFIX,
  type EventFacts,
  type SubscriptionFacts,
} from '../client/event-catalogue.js'
import { jsonSchemaOf } from '../core/schema.js'
import { specOf } from '../core/task.js'
import type { State } from '../driver/driver.js'
import type { Companion } from '../worker/companion.js'
import type { BoundHandler, BoundSubscription } from '../worker/types.js'

export const eventsCompanion: Companion = {
  async declare({ driver, plan, parts }) {
    const bound = [...plan.handlers.values()].filter(hasSubscription)
    if (bound.length === 0) return
    const { log } = parts.session
    const known = new Map((await driver.events.subscriptions()).map((one) => [one.name, one]))
    for (const { task, subscription } of bound) {
      const { name, patterns } = subscription
      const { queue } = specOf(task)
      const before = known.get(name)
      if (before?.queue === queue && same(before.patterns, patterns)) continue
      if (before)
        log.warn(
          { subscription: name, before: before.patterns.join(', '), now: patterns.join(', '), queue },
          'A subscription was declared anew; the newest declaration holds.',
        )
      await driver.events.declare({ name, queue, patterns })
    }
    if (driver.traits.remembers) await writeFacts(driver.state, bound)
  },
}

type Subscribing = BoundHandler & { readonly subscription: BoundSubscription }

const hasSubscription = (bound: BoundHandler): bound is Subscribing => bound.subscription !== undefined

const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((one) => b.includes(one))

/** What tools without our code want to know. */
async function writeFacts(state: State, bound: readonly Subscribing[]): Promise<void> {
  const events = new Map(bound.flatMap(({ subscription }) => subscription.events.map((event) => [event.name, event])))
  const facts = new Map<string, string>()
  for (const event of events.values()) {
    const schema = event['~payload']
    const payloadSchema = jsonSchemaOf(schema)
    const fact: EventFacts = {
      name: event.name,
      takesPayload: schema !== undefined,
      ...(payloadSchema !== undefined && { payloadSchema }),
    }
    facts.set(EVENT_PREFIX + event.name, JSON.stringify(fact))
  }
  for (const { subscription } of bound)
    if (subscription.routesTo !== undefined) {
      const fact: SubscriptionFacts = { name: subscription.name, routesTo: subscription.routesTo }
      facts.set(SUBSCRIPTION_PREFIX + subscription.name, JSON.stringify(fact))
    }
  for (const [key, value] of facts) {
    const entry = await state.get({ key })
    if (entry?.value !== value) await state.set({ key, value })
  }
}
