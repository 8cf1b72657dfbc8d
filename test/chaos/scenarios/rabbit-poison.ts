// rabbit-poison: on RabbitMQ alone, one job among innocents kills every process that runs it.
import { MAX_CRASHES } from '../broker-site.js'
import { poisonAmong } from '../poison-among.js'
import type { Scenario } from '../scenario.js'

/** The first death makes it a suspect, the next are counted. */
const DEATHS = MAX_CRASHES + 1
const PATIENCE = DEATHS * 15_000

export const rabbitPoison: Scenario = {
  name: 'rabbit-poison',
  does: 'RabbitMQ alone: one job among innocents kills its process with SIGKILL; dead workers are replaced',
  holds: `it is dead, reason crashed, after ${DEATHS} deaths, and every innocent is completed`,
  share: 0.1,
  async run(chaos) {
    const node = await chaos.rabbit()
    if (typeof node === 'string') return { figures: {}, violations: [], skipped: node }
    const site = await chaos.brokerSite({ node })
    const { deaths, innocents, poisonous } = await poisonAmong(chaos, site, {
      patience: PATIENCE,
      buried: async (poisoned) => (await site.deadLetters()).some(({ id }) => id === poisoned),
    })
    const { figures, violations } = await site.finish()
    const letters = await site.deadLetters()
    const fate = letters.filter(({ id }) => id === poisonous).map(({ reason }) => `dead, ${reason}`)
    const taken = letters.filter(({ id }) => id !== poisonous)
    return {
      figures: {
        deaths,
        poison: fate.join(', ') || 'not dead',
        innocents,
        completed: figures.completed,
        redone: figures.redone,
      },
      violations: [
        ...violations,
        ...(fate.join() === 'dead, crashed'
          ? []
          : [`job ${poisonous}, the poison, is ${fate.join(', ') || 'not dead'}`]),
        ...(deaths === DEATHS ? [] : [`${deaths} processes died of it; ${DEATHS} are allowed`]),
        ...(taken.length > 0 ? [`innocents are dead: ${taken.map(({ id }) => id).join(', ')}`] : []),
      ],
    }
  },
}
