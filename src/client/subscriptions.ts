// Subscriptions as an operator sees and handles them. Pausing one is pausing its queue.
import { ConfigurationError } from '../core/errors.js'
import { subscriptionTask } from '../core/event.js'
import { PAUSED_PREFIX, type StatefulDriver } from '../driver/driver.js'
import type { Events, Subscription } from '../driver/events.js'
import { readSubscriptionFacts, SUBSCRIPTION_PREFIX } from './event-catalogue.js'
import { isLive } from './findings.js'
import { queueInfo } from './queues.js'
import type { Session } from './session.js'
import type { ClientCore, SubscriptionInfo } from './types.js'
import { seeWorkers } from './workers.js'

const BATCH = 500

export function createSubscriptionVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['subscriptions'] {
  async function known(name: string): Promise<{ driver: StatefulDriver<Tx>; subscription: Subscription }> {
    const driver = await session.open()
    return { driver, subscription: await knownSubscription(driver.events, name) }
  }

  return {
    list: async () => seeSubscriptions(await session.open()),
    async pause(name) {
      const { driver, subscription } = await known(name)
      await driver.state.set({ key: PAUSED_PREFIX + subscription.queue, value: new Date().toISOString() })
    },
    async resume(name) {
      const { driver, subscription } = await known(name)
      await driver.state.delete({ key: PAUSED_PREFIX + subscription.queue })
    },
    async remove(name) {
      const { driver, subscription } = await known(name)
      const task = subscriptionTask(name)
      if (!driver.traits.remembers) return removeForgotten(driver, subscription)
      const worker = (await seeWorkers(driver)).find((one) => isLive(one) && one.tasks.includes(task))
      if (worker)
        throw new ConfigurationError(
          `Subscription "${name}" is in the code of worker ${worker.pid} on ${worker.host}, which would declare it again. Deploy without it first, then remove it.`,
        )
      await driver.events.remove({ name })
      await driver.state.delete({ key: SUBSCRIPTION_PREFIX + name })
      const removed = await deleteWaiting(driver, task)
      // Declared again one day, it is a new one, which nobody has paused.
      if (subscription.queue === task) {
        await driver.broker.remove({ queue: task })
        await driver.state.delete({ key: PAUSED_PREFIX + task })
      }
      return removed
    },
  }
}

/** @throws ConfigurationError that names those there are */
export async function knownSubscription(events: Events<any>, name: string): Promise<Subscription> {
  const all = await events.subscriptions()
  const found = all.find((one) => one.name === name)
  if (found) return found
  const there = all.length === 0 ? 'There are none yet' : `There are: ${all.map((one) => one.name).join(', ')}`
  throw new ConfigurationError(
    `There is no subscription "${name}". ${there}. A subscription exists once a worker or \`millrace setup\` has declared it.`,
  )
}

/** Every subscription, with how its queue is and whether anybody would still declare it. */
export async function seeSubscriptions(driver: StatefulDriver<any>): Promise<readonly SubscriptionInfo[]> {
  const { remembers } = driver.traits
  const [all, facts, workers] = await Promise.all([
    driver.events.subscriptions(),
    readSubscriptionFacts(driver),
    remembers ? seeWorkers(driver) : [],
  ])
  const live = new Set(workers.filter(isLive).flatMap(({ tasks }) => tasks))
  return Promise.all(
    all.map(async ({ name, patterns, queue, declaredAt }): Promise<SubscriptionInfo> => {
      const { name: _queue, ...state } = await queueInfo(driver, queue)
      const routesTo = facts.get(name)?.routesTo
      return {
        name,
        patterns,
        queue,
        ...state,
        ...(remembers && { declared: live.has(subscriptionTask(name)) }),
        declaredAt: new Date(declaredAt),
        ...(routesTo !== undefined && { task: routesTo }),
      }
    }),
  )
}

/** Nobody knows who has it in their code; and in a queue that others share, its copies stay. */
async function removeForgotten(driver: StatefulDriver<any>, { name, queue }: Subscription): Promise<number> {
  await driver.events.remove({ name })
  if (queue !== subscriptionTask(name)) return 0
  const removed = await driver.broker.purge({ queue })
  await driver.broker.remove({ queue })
  return removed
}

async function deleteWaiting({ jobs }: StatefulDriver<any>, name: string): Promise<number> {
  let removed = 0
  let cursor: string | undefined
  do {
    const page = await jobs.move({
      name,
      states: ['scheduled', 'ready'],
      to: 'deleted',
      limit: BATCH,
      ...(cursor !== undefined && { cursor }),
    })
    removed += page.moved.length
    cursor = page.cursor
  } while (cursor !== undefined)
  return removed
}
