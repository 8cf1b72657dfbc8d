// poison: one job among innocents kills every process that runs it.
import { poisonAmong } from '../poison-among.js'
import type { Scenario } from '../scenario.js'

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
    const { deaths, innocents, poisonous } = await poisonAmong(chaos, site, {
      patience: PATIENCE,
      buried: async (poisoned) => (await site.jobs([poisoned]))[0]?.state === 'dead',
    })
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
