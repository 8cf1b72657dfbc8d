// kill: kill -9 at random moments, of workers and producers, each replaced at once.
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile, type Recovery } from '../recovery.js'
import type { Proc } from '../processes.js'
import type { Random } from '../random.js'
import type { Chaos, Outcome, Scenario, Values } from '../scenario.js'
import { DEFAULT_LEASE, type Site } from '../site.js'
import { SLACK, type Verdict } from '../verdict.js'
import { monotonic } from '../wait.js'

/** Short, so that many deaths fit into the time; those of the default lease go on beside them. */
const SHORT_LEASE = 2_000
/** A file is judged and replaced by a new one after so long. */
const ROUND = 45
/** The share of deaths that may come while the process still starts. */
const EARLY = 0.2
const LANES = 4
const KINDS = { 'fail-once': 7, fail: 23, cancel: 41 }

interface Slot {
  proc: Proc
  readonly start: () => Proc
  /** How often it is chosen, beside the others. */
  readonly weight: number
  readonly producer: boolean
  /** Its last death, until it has been replaced. */
  dying: Promise<void>
}

interface Tally {
  workers: number
  producers: number
  /** Deaths of workers with jobs in hand. */
  withJobs: number
}

const killed = (tally: Tally) => tally.workers + tally.producers

async function killOne(site: Site, slot: Slot, tally: Tally): Promise<void> {
  const { hands } = await site.kill(slot.proc)
  slot.proc = slot.start()
  if (slot.producer) {
    tally.producers += 1
    site.mayBeUnnamed(LANES)
  } else {
    tally.workers += 1
    if (hands.length > 0) tally.withJobs += 1
  }
}

async function churn(o: { site: Site; slots: Slot[]; every: number; seconds: number; random: Random; tally: Tally }) {
  const { site, slots, random, tally } = o
  const until = monotonic() + o.seconds * 1000
  const total = slots.reduce((sum, { weight }) => sum + weight, 0)
  for (let next = monotonic() + random.gap(o.every); next < until; next += random.gap(o.every)) {
    let mark = random.fraction() * total
    const slot = slots.find(({ weight }) => (mark -= weight) < 0)!
    const early = random.fraction() < EARLY
    await sleep(Math.max(0, next - monotonic()))
    await slot.dying
    // On a slow machine all of them would die while they start, with nothing in hand.
    if (!early && !slot.proc.isReady) continue
    slot.dying = killOne(site, slot, tally)
    slot.dying.catch(() => {}) // seen below, or at its next death
  }
  await Promise.all(slots.map(({ dying }) => dying))
}

function slotsOf(start: () => Proc, weights: readonly number[], producer = false): Slot[] {
  return weights.map((weight) => ({ proc: start(), start, weight, producer, dying: Promise.resolve() }))
}

/** Many deaths: every process may die, two of the workers seldom, so that somebody lives long enough to see it. */
async function manyDeaths(chaos: Chaos, seconds: number, tally: Tally): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  const rounds = Math.ceil(seconds / ROUND)
  for (let round = 0; round < rounds; round++) {
    const site = await chaos.site({ lease: SHORT_LEASE })
    const slots = [
      ...slotsOf(() => site.worker({ concurrency: 4 }), [0.2, 0.2, 3, 3, 3, 3, 3, 3, 3]),
      ...slotsOf(() => site.producer({ lanes: LANES, pause: 20, most: 1_000, ms: 100, kinds: KINDS }), [1, 1], true),
    ]
    const random = chaos.random.stream(`short/${round}`)
    await churn({ site, slots, every: 85, seconds: seconds / rounds, random, tally })
    verdicts.push(await site.finish())
  }
  return verdicts
}

/** The default lease: one worker is spared, so that the time until jobs come back is that which is promised. */
async function defaultLease(chaos: Chaos, seconds: number, tally: Tally): Promise<Verdict> {
  const site = await chaos.site({})
  const witness = site.worker()
  await witness.ready
  const slots = [
    ...slotsOf(() => site.worker(), [1, 1, 1]),
    ...slotsOf(() => site.producer({ lanes: LANES, pause: 30, ms: 150, kinds: KINDS }), [0.2], true),
  ]
  await Promise.all(slots.map(({ proc }) => proc.ready))
  await churn({ site, slots, every: 1_500, seconds, random: chaos.random.stream('default'), tally })
  return site.finish()
}

function figuresOf(lease: string, recoveries: readonly Recovery[]): Values {
  const ms = recoveries.map((one) => one.ms)
  return {
    [`recoveries, lease ${lease}`]: ms.length,
    [`p50 ms, lease ${lease}`]: Math.round(percentile(ms, 0.5)),
    [`max ms, lease ${lease}`]: Math.round(Math.max(0, ...ms)),
  }
}

export const kill: Scenario = {
  name: 'kill',
  does: 'kill -9 of workers and producers at random moments, each replaced at once',
  holds: `nothing lost, nothing ended twice, only what was in hand runs again, and within lease + ${SLACK / 1000} s`,
  share: 0.39,
  async run(chaos): Promise<Outcome> {
    const tally = { workers: 0, producers: 0, withJobs: 0 }
    const slow = { workers: 0, producers: 0, withJobs: 0 }
    chaos.progress(() => `${killed(tally)} kills with a lease of 2 s, ${killed(slow)} with 15 s`)
    // What the last of the dead held comes back after a lease; that time belongs to the scenario.
    const quick = Math.max(6, chaos.seconds - 6)
    const patient = Math.max(6, chaos.seconds - DEFAULT_LEASE / 1000 - 3)
    const [short, long] = await Promise.all([manyDeaths(chaos, quick, tally), defaultLease(chaos, patient, slow)])
    const all = [...short, long]
    const sum = (
      figure: 'jobs' | 'completed' | 'dead' | 'crashed' | 'cancelled' | 'redone' | 'inHand' | 'refusedSettles',
    ) => all.reduce((total, { figures }) => total + figures[figure], 0)
    const violations = all.flatMap((verdict) => verdict.violations)
    if (tally.withJobs === 0 || slow.withJobs === 0)
      violations.push('no worker died with jobs in hand: nothing was tested')
    return {
      figures: {
        kills: killed(tally) + killed(slow),
        'of workers with jobs in hand': tally.withJobs + slow.withJobs,
        'of producers': tally.producers + slow.producers,
        jobs: sum('jobs'),
        completed: sum('completed'),
        dead: sum('dead'),
        'of them as suspects killed again and again': sum('crashed'),
        cancelled: sum('cancelled'),
        'in hand': sum('inHand'),
        redone: sum('redone'),
        ...figuresOf('15 s', long.recoveries),
        ...figuresOf(
          '2 s',
          short.flatMap(({ recoveries }) => recoveries),
        ),
      },
      violations,
    }
  },
}
