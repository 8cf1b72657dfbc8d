// poison: one job among innocents kills every process that runs it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Proc } from '../processes.js'
import type { Scenario } from '../scenario.js'
import { monotonic } from '../wait.js'

const LEASE = 1_000
const MAX_CRASHES = 3
/** The first death makes it a suspect, the next are counted. */
const DEATHS = MAX_CRASHES + 1
const PATIENCE = DEATHS * (LEASE + 6_000)

export const poison: Scenario = {
  name: 'poison',
  does: 'one job among innocents kills its process with SIGKILL; dead workers are replaced',
  holds: `it is dead, reason crashed, after ${DEATHS} deaths, and every innocent is completed without a crash`,
  share: 0.04,
  async run(chaos) {
    const site = await chaos.site({ lease: LEASE })
    const { random } = chaos
    const innocents = Math.max(100, Math.round(chaos.seconds * 20))
    const before = random.between(0, 50)
    const ok = (n: number) => Array.from({ length: n }, () => ({ kind: 'ok' as const, ms: 40 }))
    let deaths = 0
    const crew = new Map<Proc, Promise<Proc>>()
    const start = () => {
      const proc = site.worker()
      crew.set(
        proc,
        proc.ended.then(() => proc),
      )
    }
    start()
    start()
    await Promise.all(Array.from(crew.keys(), (proc) => proc.ready))
    const ids = [
      ...(await site.enqueue(ok(before))),
      ...(await site.enqueue([{ kind: 'poison' }])),
      ...(await site.enqueue(ok(innocents - before))),
    ]
    const poisonous = ids[before]!
    const end = monotonic() + PATIENCE
    const buried = async () => (await site.jobs([poisonous]))[0]?.state === 'dead'
    while (!(await buried()) && monotonic() < end) {
      const died = await Promise.race([...crew.values(), sleep(50, undefined)])
      if (!died) continue
      deaths += 1
      crew.delete(died)
      await site.died(died)
      start()
    }
    const { figures, violations, history, recoveries } = await site.finish()
    const row = history.rows.find(({ id }) => id === poisonous)
    const crashed = history.rows.filter(({ id, crashes }) => id !== poisonous && crashes > 0)
    const unfinished = history.rows.filter(({ id, state }) => id !== poisonous && state !== 'completed')
    const fate = `${row?.state ?? 'missing'}, ${row?.reason ?? 'no reason'}, ${row?.crashes ?? 0} crashes`
    return {
      figures: {
        deaths,
        poison: fate,
        innocents,
        redone: figures.redone,
        'slowest recovery, ms': Math.round(Math.max(0, ...recoveries.map(({ ms }) => ms))),
        'lease, ms': LEASE,
      },
      violations: [
        ...violations,
        ...(fate === `dead, crashed, ${MAX_CRASHES} crashes` ? [] : [`job ${poisonous}, the poison, is ${fate}`]),
        ...(deaths === DEATHS ? [] : [`${deaths} processes died of it; ${DEATHS} are allowed`]),
        ...(crashed.length > 0 ? [`innocents have crashes counted: ${crashed.map(({ id }) => id).join(', ')}`] : []),
        ...(unfinished.length > 0
          ? [`innocents were not completed: ${unfinished.map(({ id }) => id).join(', ')}`]
          : []),
      ],
    }
  },
}
