// clock-jumps: the wall clocks of processes jump by hours, both ways, each by its own.
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Random } from '../random.js'
import type { Scenario } from '../scenario.js'
import { monotonic } from '../wait.js'

const LEASE = 1_500
const HOUR = 3_600_000
const CLOCK = pathToFileURL(`${import.meta.dirname}/../programs/clock.mjs`).href
/** The timeout of the task whose handlers do not end, and how late it may come on a busy machine. */
const TIMEOUT = 1_000
const LATE = 4_000

/** Where the clock stands from when on: up to two days off. */
function jumpsOf(random: Random, seconds: number): [number, number][] {
  const jumps: [number, number][] = []
  for (let at = 0; at < seconds * 1000; at += random.between(300, 1500))
    jumps.push([at, random.pick([-1, 1]) * random.between(1, 48) * HOUR])
  return jumps
}

export const clockJumps: Scenario = {
  name: 'clock-jumps',
  does: 'the wall clocks of workers and a producer jump by up to two days, both ways; one worker is killed meanwhile',
  holds:
    'claims, leases and timeouts do not follow the wall clock: nothing lost, nobody taken for dead, timeouts in time',
  share: 0.05,
  async run(chaos) {
    // All of a process shares its clock; here only that of the main thread can be moved, so everything lives on it.
    const site = await chaos.site({ lease: LEASE, thread: false })
    const { random } = chaos
    let jumps = 0
    const jumping = () => {
      const list = jumpsOf(random, chaos.seconds)
      jumps += list.length
      return { node: ['--import', CLOCK], env: { CHAOS_JUMPS: JSON.stringify(list) } }
    }
    const worker = () => site.worker({ grace: '2s' }, jumping())
    const workers = [worker(), worker(), worker(), site.worker({ grace: '2s' })]
    await Promise.all(workers.map((one) => one.ready))
    const client = { retention: { completed: '3650d', dead: '3650d' } }
    const producers = [
      site.producer({ ms: 30, lanes: 2, pause: 10, client }, jumping()),
      site.producer({ ms: 30, lanes: 2, pause: 10, client }),
    ]
    await Promise.all(producers.map((one) => one.ready))
    chaos.progress(() => `${workers.length} workers, ${jumps} jumps`)
    const end = monotonic() + (chaos.seconds - 2) * 1000
    const hanging = await site.enqueue(
      Array.from({ length: 3 }, () => ({ kind: 'hang' as const })),
      'hang',
    )
    await sleep(random.between(500, 1500))
    const dies = random.pick(workers.slice(0, 3))
    await site.kill(dies)
    workers.push(worker())
    await sleep(Math.max(0, end - monotonic()))
    const verdict = await site.finish()
    const effects = site.effects()
    // Of the last begin: the first may have died with the worker that was killed.
    const overdue = hanging.map((id) => {
      const begun = effects.findLast((one) => one.id === id && one.verb === 'begin')
      const dead = effects.find((one) => one.id === id && one.verb === 'dead' && one.outcome === 'ok')
      return begun && dead ? Math.round(dead.at - begun.at) : -1
    })
    const silent = site.logged(/fell silent/)
    const tellers = new Set(silent.map((line) => /worker=(\S+)/.exec(line)?.[1]))
    return {
      figures: {
        jumps,
        jobs: verdict.figures.jobs,
        redone: verdict.figures.redone,
        'in hand of the killed': verdict.figures.inHand,
        'recovery after the kill, ms': Math.round(verdict.recoveries[0]?.ms ?? 0),
        'lease, ms': LEASE,
        'timeouts of 1 s came after, ms': overdue.join(', '),
      },
      violations: [
        ...verdict.violations,
        ...(tellers.size > 1
          ? [`${tellers.size} workers were taken for dead, one was killed: ${silent.join(' | ')}`]
          : []),
        ...overdue
          .filter((ms) => ms < TIMEOUT * 0.9 || ms > TIMEOUT + LATE)
          .map((ms) =>
            ms < 0 ? 'a handler that hangs was not timed out' : `a timeout of ${TIMEOUT} ms came after ${ms} ms`,
          ),
      ],
    }
  },
}
