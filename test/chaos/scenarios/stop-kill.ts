// stop-kill: SIGTERM, and SIGKILL before the grace is over.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Proc } from '../processes.js'
import type { Scenario } from '../scenario.js'
import type { Fault } from '../ledger.js'
import type { Site } from '../site.js'
import { SLACK } from '../verdict.js'
import { monotonic, until } from '../wait.js'

const LEASE = 1_000
const GRACE = 3_000
/** Of a handler: long enough to be caught by the kill. */
const WORK = 800

/** Answers what is wrong with the jobs that were in hand, as soon as the store has taken them back. */
async function comeBack(site: Site, { hands }: Fault): Promise<string[]> {
  const ids = hands.map(({ id }) => id)
  const back = async () =>
    (await site.jobs(ids)).every((job) => {
      const hand = hands.find(({ id }) => id === job.envelope.id)!
      return job.run > hand.run || job.state !== 'active'
    })
  if (!(await until(back, site.lease + SLACK, 10))) return ['jobs of a worker that was stopping did not come back']
  return (await site.jobs(ids)).flatMap((job) => [
    ...(job.suspect ? [`job ${job.envelope.id} is under suspicion although its worker was stopping`] : []),
    ...(job.crashes > 0 ? [`job ${job.envelope.id} has a crash counted although its worker was stopping`] : []),
  ])
}

export const stopKill: Scenario = {
  name: 'stop-kill',
  does: 'SIGTERM, and SIGKILL while the grace still runs',
  holds: `the jobs come back unspent within lease + ${SLACK / 1000} s; no crash is counted and no job is under suspicion`,
  share: 0.04,
  async run(chaos) {
    const site = await chaos.site({ lease: LEASE })
    const { random } = chaos
    const start = () => site.worker({ concurrency: 3, grace: GRACE })
    const workers: Proc[] = [start(), start(), start()]
    await Promise.all(workers.map((worker) => worker.ready))
    await site.producer({ ms: WORK, lanes: 1, most: 10 }).ready
    const violations: string[] = []
    let kills = 0
    chaos.progress(() => `${kills} kills during the grace`)
    const end = monotonic() + (chaos.seconds - 1.5) * 1000
    do {
      const victim = random.pick(workers)
      await victim.ready
      await until(async () => (await site.handsOf(victim)).length > 0, 10_000)
      const before = await site.handsOf(victim)
      victim.signal('SIGTERM')
      // From here on everybody can know that it stops; a kill before that is a kill like any other.
      const known = async () => (await site.workers()).some(({ pid, stopping }) => pid === victim.pid && stopping)
      if (!(await until(known, 5_000, 5))) violations.push(`${victim.name} did not say that it stops`)
      await sleep(random.between(0, WORK / 2))
      const fault = await site.kill(victim, before)
      kills += 1
      workers[workers.indexOf(victim)] = start()
      violations.push(...(await comeBack(site, fault)))
    } while (monotonic() < end && violations.length === 0)
    const verdict = await site.finish()
    const crashed = verdict.history.rows.filter(({ crashes }) => crashes > 0).length
    const spent = verdict.history.rows.filter(({ attempt }) => attempt > 1).length
    if (verdict.figures.inHand === 0) violations.push('no worker had a job in hand: nothing was tested')
    if (crashed > 0) violations.push(`${crashed} jobs have a crash counted`)
    if (spent > 0) violations.push(`${spent} jobs have spent an attempt`)
    return {
      figures: {
        kills,
        'in hand': verdict.figures.inHand,
        jobs: verdict.figures.jobs,
        redone: verdict.figures.redone,
        'slowest recovery, ms': Math.round(Math.max(0, ...verdict.recoveries.map(({ ms }) => ms))),
        'lease, ms': LEASE,
      },
      violations: [...violations, ...verdict.violations],
    }
  },
}
