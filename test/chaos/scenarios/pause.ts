// pause: a worker is frozen past its lease and thawed when others have its jobs.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Effect } from '../ledger.js'
import type { Proc } from '../processes.js'
import type { Chaos, Scenario } from '../scenario.js'
import type { Site } from '../site.js'
import { SLACK } from '../verdict.js'
import { monotonic, until, within } from '../wait.js'

const LEASE = 1_000
/** Longer than a write waits for another one; then the frozen process holds the lock of the file. */
const LOCKED = 1_000
/** A thawed worker beats at once, and hears that its jobs are gone. */
const NOTICE = 10_000

interface Tally {
  frozen: number
  jobs: number
  /** Frozen in the middle of a commit: nobody can write until it is thawed, so nobody takes over either. */
  withLock: number
}

async function freezeOnce(site: Site, worker: Proc, hold: number, tally: Tally): Promise<string[]> {
  const { hands } = await site.freeze(worker)
  const since = monotonic()
  tally.frozen += 1
  const probe = site.enqueue([{ kind: 'ok' }])
  if ((await within(probe, LOCKED)) === undefined) {
    tally.withLock += 1
    worker.signal('SIGCONT')
    await probe
    return []
  }
  tally.jobs += hands.length
  const taken = async () => {
    const jobs = await site.jobs(hands.map(({ id }) => id))
    return hands.every(({ id, run }) => jobs.some((job) => job.envelope.id === id && job.run > run))
  }
  const intime = await until(taken, site.lease + SLACK)
  await sleep(Math.max(0, hold - (monotonic() - since)))
  worker.signal('SIGCONT')
  if (!intime) return [`the jobs of ${worker.name}, frozen, were not taken over within ${site.lease + SLACK} ms`]
  const begun = (effects: readonly Effect[]) =>
    hands.filter(({ id, run }) => effects.some((one) => one.verb === 'begin' && one.id === id && one.run === run))
  const noticed = () => {
    const effects = site.effects()
    const lost = effects.filter((one) => one.process === worker.name && (one.verb === 'lost' || one.outcome === 'lost'))
    return begun(effects).every(({ id, run }) => lost.some((one) => one.id === id && one.run === run))
  }
  if (await until(noticed, NOTICE, 100)) return []
  return [`${worker.name}, thawed, did not notice within ${NOTICE} ms that its jobs were gone`]
}

async function rounds(chaos: Chaos, seconds: number, lease: number | undefined, tally: Tally) {
  const site = await chaos.site(lease === undefined ? {} : { lease })
  const random = chaos.random.stream(`lease/${site.lease}`)
  const workers = [site.worker(), site.worker(), site.worker()]
  await Promise.all(workers.map((worker) => worker.ready))
  const producer = site.producer({ ms: 120, lanes: 2, pause: 20 })
  await producer.ready
  // Everybody has been seen to beat for a while, so that the time to judge is that which is promised.
  const violations: string[] = []
  const end = monotonic() + seconds * 1000
  do {
    await sleep(random.between(200, 500))
    const hold = site.lease * (1.2 + random.fraction())
    violations.push(...(await freezeOnce(site, random.pick(workers), hold, tally)))
  } while (monotonic() < end && violations.length === 0)
  const verdict = await site.finish()
  return { ...verdict, violations: [...violations, ...verdict.violations] }
}

export const pause: Scenario = {
  name: 'pause',
  does: 'SIGSTOP of a worker past its lease, SIGCONT when others have its jobs',
  holds: 'others take its jobs within lease + 5 s, and nothing that it settles afterwards counts',
  share: 0.05,
  async run(chaos) {
    const tally: Tally = { frozen: 0, jobs: 0, withLock: 0 }
    chaos.progress(() => `${tally.frozen} freezes`)
    const runs = [rounds(chaos, chaos.seconds - 3, LEASE, tally)]
    // The default lease takes its time, which a short run does not have.
    if (chaos.seconds >= 30) runs.push(rounds(chaos, chaos.seconds - 20, undefined, tally))
    const verdicts = await Promise.all(runs)
    const violations = verdicts.flatMap((verdict) => verdict.violations)
    if (tally.jobs === 0) violations.push('no worker was frozen with jobs in hand: nothing was tested')
    const sum = (figure: 'jobs' | 'redone' | 'refusedSettles') =>
      verdicts.reduce((total, { figures }) => total + figures[figure], 0)
    return {
      figures: {
        freezes: tally.frozen,
        'in hand': tally.jobs,
        'while it held the lock': tally.withLock,
        jobs: sum('jobs'),
        redone: sum('redone'),
        'settles refused': sum('refusedSettles'),
        leases: verdicts.length === 2 ? '1 s and 15 s' : '1 s',
      },
      violations,
    }
  },
}
