// fair: four workers and two producers share one file, and nobody is hindered.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scenario } from '../scenario.js'
import { monotonic } from '../wait.js'

const WORKERS = 4
/** Of all jobs, for each worker. */
const LEAST = 0.15
const MOST = 0.35
const BUSY = /SQLITE_BUSY|database is locked|was locked by another program|does not answer/

export const fair: Scenario = {
  name: 'fair',
  does: `${WORKERS} workers and 2 producers on one file, undisturbed`,
  holds: `each worker takes between ${LEAST * 100} % and ${MOST * 100} % of the jobs, each job is done once, and nobody hears that the file is locked`,
  share: 0.19,
  async run(chaos) {
    const site = await chaos.site({})
    const workers = Array.from({ length: WORKERS }, () => site.worker())
    await Promise.all(workers.map((worker) => worker.ready))
    const producers = [site.producer({ ms: 10 }), site.producer({ ms: 10 })]
    await Promise.all(producers.map((producer) => producer.ready))
    const seconds = Math.max(5, chaos.seconds - 2)
    const since = monotonic()
    chaos.progress(() => `${Math.round((monotonic() - since) / 1000)} of ${Math.round(seconds)} s of work`)
    await sleep(seconds * 1000)
    const { figures, violations, history } = await site.finish()
    const begins = history.effects.filter(({ verb }) => verb === 'begin')
    const shares = workers.map(({ name }) => begins.filter((one) => one.process === name).length / begins.length)
    const percent = shares.map((share) => `${(share * 100).toFixed(1)} %`).join(', ')
    const busy = site.logged(BUSY)
    const refused = history.effects.filter(({ verb }) => verb === 'refused').length
    return {
      figures: {
        jobs: figures.jobs,
        'jobs/s': Math.round(figures.jobs / seconds),
        shares: percent,
        redone: figures.redone,
      },
      violations: [
        ...violations,
        ...(shares.some((share) => share < LEAST || share > MOST) ? [`the shares of the workers are ${percent}`] : []),
        ...(begins.length === figures.jobs ? [] : [`${figures.jobs} jobs began ${begins.length} times`]),
        ...(busy.length > 0 ? [`the lock reached somebody ${busy.length} times: ${busy[0]}`] : []),
        ...(refused > 0 ? [`${refused} enqueues were refused`] : []),
      ],
    }
  },
}
