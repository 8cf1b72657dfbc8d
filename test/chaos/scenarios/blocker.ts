// blocker: handlers that block the event loop, for a while or for ever.
import type { Effect } from '../ledger.js'
import type { Chaos, Outcome, Scenario } from '../scenario.js'
import { SLACK } from '../verdict.js'
import { until } from '../wait.js'

const LEASE = 1_500
/** Of the task `hang`. */
const TIMEOUT = 1_000
/** How long after its timeout a blocked handler may still keep its lease. */
const MERCY = 5_000

/** A loop of two leases, innocents beside it, and another worker that could take its job. */
async function forAWhile(chaos: Chaos): Promise<Outcome> {
  const site = await chaos.site({ lease: LEASE })
  const workers = [site.worker({ concurrency: 2 }), site.worker({ concurrency: 2 })]
  await Promise.all(workers.map((worker) => worker.ready))
  const blockers = Math.max(1, Math.round((chaos.seconds - 15) / 4))
  const ids: string[] = []
  chaos.progress(() => `${ids.length} of ${blockers} handlers have blocked the loop for ${(2 * LEASE) / 1000} s`)
  // One after the other: when all workers are blocked, nobody could take anything.
  while (ids.length < blockers) {
    const [id] = await site.enqueue([{ kind: 'block', ms: 2 * LEASE }])
    ids.push(id!)
    await site.enqueue(Array.from({ length: 20 }, () => ({ kind: 'ok' as const, ms: 20 })))
    await until(async () => (await site.jobs([id!]))[0]?.state === 'completed', 8 * LEASE)
  }
  const { violations, history, figures } = await site.finish()
  const runs = history.rows.filter(({ id }) => ids.includes(id)).map(({ run }) => run)
  return {
    figures: { 'blocked for 2 leases': blockers, 'their runs': runs.join(', '), redone: figures.redone },
    violations: [
      ...violations,
      ...(runs.some((run) => run > 1)
        ? [`a handler that blocked for 2 leases lost its job: runs ${runs.join(', ')}`]
        : []),
    ],
  }
}

/** `while (true)`: each worker that runs it stands still, until somebody kills it. */
async function forEver(chaos: Chaos): Promise<Outcome> {
  const site = await chaos.site({ lease: LEASE, maxCrashes: 1 })
  const workers = [site.worker({ concurrency: 2 }), site.worker({ concurrency: 2 }), site.worker({ concurrency: 2 })]
  await Promise.all(workers.map((worker) => worker.ready))
  const [id] = await site.enqueue([{ kind: 'forever' }], 'hang')
  await site.enqueue(Array.from({ length: 20 }, () => ({ kind: 'ok' as const, ms: 20 })))
  const violations: string[] = []
  const kept: number[] = []
  // It hangs once uncounted, once counted: with maxCrashes 1 that is its end.
  for (let run = 1; run <= 2; run++) {
    let begun: Effect | undefined
    const begins = () =>
      (begun ??= site.effects().find((one) => one.id === id && one.verb === 'begin' && one.run === run))
    if (!(await until(() => begins() !== undefined, LEASE + SLACK + 10_000, 100))) break
    const stuck = workers.find(({ name }) => name === begun!.process)!
    await site.noteFrozen(stuck, TIMEOUT + MERCY)
    const since = performance.now()
    const gone = async () => {
      const job = (await site.jobs([id!]))[0]
      return job !== undefined && (job.run > run || job.state !== 'active')
    }
    const taken = await until(gone, TIMEOUT + MERCY + LEASE + SLACK)
    const ms = Math.round(performance.now() - since)
    kept.push(ms)
    if (!taken) violations.push(`a handler that never ends still had its job after ${ms} ms`)
    if (ms < TIMEOUT * 0.9)
      violations.push(`a handler lost its job after ${ms} ms, before its timeout of ${TIMEOUT} ms`)
    await site.kill(stuck) // what a supervisor does to a process that stands still
    workers[workers.indexOf(stuck)] = site.worker({ concurrency: 2 })
  }
  const verdict = await site.finish()
  const row = verdict.history.rows.find((one) => one.id === id)
  const fate = `${row?.state ?? 'missing'}, ${row?.reason ?? 'no reason'}`
  if (fate !== 'dead, crashed') violations.push(`the job that never ends is ${fate}`)
  return {
    figures: {
      'while(true) lost its job after, ms': kept.join(', '),
      'timeout, ms': TIMEOUT,
      'lease, ms': LEASE,
      'and is': fate,
    },
    violations: [...violations, ...verdict.violations],
  }
}

export const blocker: Scenario = {
  name: 'blocker',
  does: 'handlers block the event loop: for two leases, and for ever with a timeout of 1 s',
  holds:
    'the first keeps its job and runs once; the other loses it, not before its timeout and about 5 s after, and is buried in the end',
  share: 0.06,
  async run(chaos) {
    const outcomes = [await forAWhile(chaos), await forEver(chaos)]
    return {
      figures: Object.assign({}, ...outcomes.map(({ figures }) => figures)) as Outcome['figures'],
      violations: outcomes.flatMap(({ violations }) => violations),
    }
  },
}
