// The doctor: one look at everything that can be stuck, and what to do about each. It changes nothing.
import { messageOf } from '../core/errors.js'
import { refuseUnknown } from '../core/task.js'
import type { Finding, StatefulDriver } from '../driver/driver.js'
import { readTasks } from './catalogue.js'
import { checkSubscriptions } from './event-findings.js'
import { checkDead, checkJobs, checkQueues, isLive, type Snapshot } from './findings.js'
import { createQueueVerbs } from './queues.js'
import { checkSchedules } from './schedule-findings.js'
import { seeSchedules } from './schedules.js'
import type { Session } from './session.js'
import { seeSubscriptions } from './subscriptions.js'
import type { ClientCore } from './types.js'
import { checkWorkers } from './worker-findings.js'
import { seeWorkers } from './workers.js'

/** The newest jobs of each kind that are looked at. */
const LOOK_AT = 500

export function createDoctor<Tx>(session: Session<Tx>): ClientCore<Tx>['doctor'] {
  const queues = createQueueVerbs(session)

  async function look(driver: StatefulDriver<Tx>): Promise<Snapshot> {
    const { jobs, state } = driver
    const [seen, tasks, unhandled, dead, suspects, workers, subscriptions] = await Promise.all([
      queues.list(),
      readTasks(state),
      jobs.list({ blocked: 'no-handler', states: ['ready', 'scheduled'], limit: LOOK_AT }),
      jobs.list({ states: ['dead'], limit: LOOK_AT }),
      jobs.list({ suspect: true, limit: LOOK_AT }),
      seeWorkers(driver),
      seeSubscriptions(driver),
    ])
    return {
      now: Date.now(),
      lease: driver.traits.lease,
      queues: seen,
      subscriptions,
      workers,
      unhandled: unhandled.jobs,
      dead: dead.jobs,
      suspects: suspects.jobs,
      untimed: new Set(tasks.filter(({ timeout }) => timeout === false).map(({ name }) => name)),
    }
  }

  async function examine(deep: boolean): Promise<readonly Finding[]> {
    const driver = await session.open()
    const since = performance.now()
    await driver.ping()
    const ms = performance.now() - since
    const answers: Finding = {
      code: 'store',
      level: 'ok',
      message: `${driver.name} answers in ${ms.toFixed(1)} ms.`,
      facts: { driver: driver.name, ms: Number(ms.toFixed(1)) },
    }
    // Apart, so that a store which answers only half of them still tells that half.
    const [seen, own] = await Promise.all([
      told(async () => {
        if (!driver.traits.remembers) return bareFindings(driver)
        const snapshot = await look(driver)
        const { now, workers } = snapshot
        return [
          ...checkQueues(snapshot),
          ...checkJobs(snapshot),
          ...checkSubscriptions(snapshot),
          ...checkSchedules(await seeSchedules(driver, workers), now, workers.some(isLive)),
          ...checkWorkers(snapshot),
        ]
      }),
      told(async () => (await driver.inspect?.({ deep })) ?? []),
    ])
    return [answers, ...seen, ...own]
  }

  return async (o = {}) => {
    refuseUnknown('client.doctor()', o, ['deep'])
    const findings = await told(() => examine(o.deep === true))
    return findings.toSorted((a, b) => RANKS[a.level] - RANKS[b.level])
  }
}

/** What a broker without a store can be asked. */
async function bareFindings(driver: StatefulDriver<any>): Promise<readonly Finding[]> {
  const { jobs } = driver.deadLetters ? await driver.jobs.list({ states: ['dead'], limit: LOOK_AT }) : { jobs: [] }
  const forgets: Finding = {
    code: 'no-store',
    level: 'ok',
    message: `The ${driver.name} driver remembers no jobs, so who works, what is stuck and what is paused cannot be told. To see that, add a store.`,
    facts: { driver: driver.name },
  }
  return [...checkDead({ now: Date.now(), dead: jobs }), forgets]
}

/** What was found; a store that does not answer is a finding. */
async function told(find: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await find()
  } catch (error) {
    if (!isOfStore(error)) throw error
    return [unanswered(error)]
  }
}

const RANKS: Readonly<Record<Finding['level'], number>> = { error: 0, warning: 1, ok: 2 }

/** Rather than a closed client, a driver that cannot be asked, or a mistake in here. */
function isOfStore(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && code !== 'ERR_CLIENT_CLOSED' && code !== 'ERR_UNSUPPORTED'
}

/** The finding of a store that cannot be asked. */
export function unanswered(error: unknown): Finding {
  return {
    code: 'store',
    level: 'error',
    message: `The store does not answer: ${messageOf(error)}`,
    advice: 'Until it does, nothing is enqueued and nothing runs. The message says what to look at.',
  }
}
