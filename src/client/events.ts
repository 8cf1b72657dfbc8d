// Events as an operator sees them: who gets which, what was published, and sending it once more.
import { readMessage } from '../core/cloud-event.js'
import { ConfigurationError } from '../core/errors.js'
import { newId } from '../core/id.js'
import { checkPattern, matchesPattern } from '../core/pattern.js'
import { refuseUnknown } from '../core/task.js'
import type { EventQuery, KeptEvent } from '../driver/events.js'
import { readEvents, readSubscriptionFacts } from './event-catalogue.js'
import { checkLimit, timeOf } from './filters.js'
import type { Session } from './session.js'
import { knownSubscription } from './subscriptions.js'
import type { ClientCore, EventFilter, EventInfo, PublishedEvent } from './types.js'

const PAGE = 50
const MAX_PAGE = 1000
/** Events that one step of a replay copies, so that it never holds the store for long. */
const REPLAY_PAGE = 200

export function createEventVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['events'] {
  return {
    async list() {
      const driver = await session.open()
      const [subscriptions, known, facts] = await Promise.all([
        driver.events.subscriptions(),
        readEvents(driver),
        readSubscriptionFacts(driver),
      ])
      const patterns = subscriptions.flatMap((one) => one.patterns)
      const names = new Set([...known.map(({ name }) => name), ...patterns.filter((pattern) => !isOpen(pattern))])
      // A pattern that means none of them is shown in the place of the events that it waits for.
      const open = patterns.filter((pattern) => isOpen(pattern) && ![...names].some((n) => matchesPattern(pattern, n)))
      return [...names, ...new Set(open)].sort().map((name): EventInfo => {
        const mine = subscriptions.filter((one) =>
          one.patterns.some((pattern) => pattern === name || (!isOpen(name) && matchesPattern(pattern, name))),
        )
        const routes = mine.map((one) => facts.get(one.name)?.routesTo)
        return {
          name,
          subscriptions: mine.filter((_, i) => routes[i] === undefined).map((one) => one.name),
          tasks: routes.filter((task) => task !== undefined),
        }
      })
    },
    async log(filter = {}) {
      refuseUnknown('events.log()', filter, ['pattern', 'since', 'before', 'after', 'limit'])
      const { after, limit = PAGE } = filter
      checkLimit(limit, MAX_PAGE)
      if (after !== undefined && !(Number.isInteger(after) && after >= 0))
        throw new ConfigurationError(`after: ${after} is no place in the log. Give the \`n\` of an event, or 0.`)
      const { eventLog } = await session.open()
      const kept = await eventLog.list({ ...queryOf(filter), limit, ...(after !== undefined && { after }) })
      return kept.map(publishedEvent)
    },
    async replay(subscription, filter) {
      refuseUnknown('events.replay()', filter, ['pattern', 'since', 'before'])
      if (!(filter.since instanceof Date))
        throw new ConfigurationError(
          'events.replay(): `since` is missing. Give the time from which events are sent again.',
        )
      const query = queryOf(filter)
      const driver = await session.open()
      const { name } = await knownSubscription(driver.events, subscription)
      // Short, for it is part of a job's id. Another replay at the same time is another.
      const replay = Math.floor(session.around.now()).toString(36) + newId().slice(-6)
      const upTo = await driver.eventLog.end() // what is published meanwhile has its copy already
      const part = { ...query, subscription: name, replay, upTo, limit: REPLAY_PAGE }
      let copied = 0
      for (let after: number | undefined = 0; after !== undefined && after < upTo;) {
        const page = await driver.eventLog.replay({ ...part, after })
        copied += page.copied
        after = page.next
      }
      return copied
    },
  }
}

const isOpen = (pattern: string) => pattern.includes('*') || pattern.includes('#')

function queryOf(filter: Pick<EventFilter, 'pattern' | 'since' | 'before'>): EventQuery {
  const since = timeOf(filter.since, 'since')
  const before = timeOf(filter.before, 'before')
  return {
    ...(filter.pattern !== undefined && { pattern: checkPattern(filter.pattern) }),
    ...(since !== undefined && { since }),
    ...(before !== undefined && { before }),
  }
}

function publishedEvent({ n, id, body, headers, publishedAt }: KeptEvent): PublishedEvent {
  return { ...readMessage(body), n, storedId: id, headers, publishedAt: new Date(publishedAt) }
}
