// What is wrong with subscriptions. Pure, as findings.ts is.
import { subscriptionTask } from '../core/event.js'
import type { Finding } from '../driver/driver.js'
import { count, isLive, type Snapshot } from './findings.js'
import type { SubscriptionInfo } from './types.js'

export function checkSubscriptions(s: Snapshot): readonly Finding[] {
  const { subscriptions } = s
  if (subscriptions.length === 0) return []
  const orphans = subscriptions.filter((one) => !one.declared)
  // Without any worker it is one thing that is wrong, and not with each of them.
  const found = s.workers.some(isLive) ? orphans.map(orphaned) : orphans.length > 0 ? [allOrphaned(orphans)] : []
  const facts = { subscriptions: subscriptions.length, undeclared: orphans.length }
  const message = `${count(facts.subscriptions, 'subscription')}, ${facts.subscriptions - orphans.length} of them declared by live workers.`
  return [...found, { code: 'subscriptions', level: 'ok', message, facts }]
}

/** Jobs in the queues of these; several may share one, also with tasks. */
function waitingIn(all: readonly SubscriptionInfo[]): number {
  const queues = new Map(all.map((one) => [one.queue, one]))
  return [...queues.values()].reduce((sum, { ready, scheduled, retrying }) => sum + ready + scheduled + retrying, 0)
}

function orphaned(one: SubscriptionInfo): Finding {
  const [waiting, patterns] = [waitingIn([one]), one.patterns.join(', ')]
  const own = one.queue === subscriptionTask(one.name)
  const by = own
    ? `${count(waiting, 'job')} by now`
    : `in queue "${one.queue}", which has ${count(waiting, 'job')} by now`
  return {
    code: 'subscription-undeclared',
    level: 'warning',
    message: `No live worker declares subscription "${one.name}" (${patterns}): its copies pile up, ${by}.`,
    advice: `Start a worker that has it. If its code is gone for good: millrace subscriptions remove ${one.name}`,
    facts: { subscription: one.name, patterns, waiting },
  }
}

function allOrphaned(all: readonly SubscriptionInfo[]): Finding {
  const waiting = waitingIn(all)
  const names = all.map(({ name }) => name).join(', ')
  return {
    code: 'subscription-undeclared',
    level: 'warning',
    message: `${count(all.length, 'subscription')} without a live worker (${names}): copies pile up, ${count(waiting, 'job')} in their queues by now.`,
    advice: 'Start the worker that has them. One whose code is gone for good: millrace subscriptions remove NAME',
    facts: { subscription: names, waiting },
  }
}
