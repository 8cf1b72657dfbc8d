// pause-all: all workers are frozen at once past the lease, as with a machine that slept, and thawed.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scenario } from '../scenario.js'
import { monotonic } from '../wait.js'

const LEASE = 1_000
/** What is logged when a worker is taken for dead. */
const BURIED = /fell silent/

export const pauseAll: Scenario = {
  name: 'pause-all',
  does: 'SIGSTOP of all workers at once past the lease, then SIGCONT',
  holds: 'nobody is taken for dead afterwards, and no job runs again',
  share: 0.04,
  async run(chaos) {
    const site = await chaos.site(chaos.seconds >= 30 ? {} : { lease: LEASE })
    const { random } = chaos
    const workers = Array.from({ length: 4 }, () => site.worker())
    await Promise.all(workers.map((worker) => worker.ready))
    await site.producer({ ms: 100, lanes: 2, pause: 20 }).ready
    let freezes = 0
    chaos.progress(() => `${freezes} freezes of all ${workers.length} workers`)
    const end = monotonic() + (chaos.seconds - 2) * 1000
    do {
      await sleep(random.between(300, 700))
      for (const worker of random.shuffle(workers)) worker.signal('SIGSTOP')
      for (const worker of workers) await site.noteFrozen(worker)
      await sleep(site.lease * (1.1 + random.fraction() * 0.5))
      for (const worker of random.shuffle(workers)) worker.signal('SIGCONT')
      freezes += 1
    } while (monotonic() < end)
    // A lease later, whoever was to be taken for dead has been.
    await sleep(site.lease * 1.2)
    const { figures, violations, history } = await site.finish()
    const buried = site.logged(BURIED)
    const crashes = history.rows.filter((row) => row.crashes > 0).length
    return {
      figures: {
        freezes,
        'lease, ms': site.lease,
        'in hand': figures.inHand,
        jobs: figures.jobs,
        redone: figures.redone,
        'taken for dead': buried.length,
      },
      violations: [
        ...violations,
        ...(buried.length > 0 ? [`workers were taken for dead ${buried.length} times: ${buried[0]}`] : []),
        ...(figures.redone > 0 ? [`${figures.redone} jobs ran again`] : []),
        ...(crashes > 0 ? [`${crashes} jobs have a crash counted`] : []),
        ...(figures.inHand === 0 ? ['no job was in hand: nothing was tested'] : []),
      ],
    }
  },
}
