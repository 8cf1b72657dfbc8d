// drain: jobs that wait already, from starting the worker until it has stopped with every one of them settled.
// Also on a file with a million other jobs, waiting behind these or finished, relative to the same file without them.
import { enqueueInBatches, inputs } from '../subject.js'
import { proven, type Case, type Stage } from './case.js'
import { workOff } from './work-off.js'

export const drain: Case = {
  name: 'drain',
  unit: 'jobs/s',
  better: 'more',
  jobs: (base) => base * 5,
  warmUp: 2000,
  measure,
}

const drainBeside = (beside: 'waiting' | 'finished'): Case => ({
  ...drain,
  name: `drain-1m-${beside}`,
  jobs: (base) => Math.ceil(base * 2.5),
  beside,
})

export const drainBesideWaiting = drainBeside('waiting')
export const drainBesideFinished = drainBeside('finished')

async function measure({ subject, folder, jobs }: Stage) {
  const queue = await subject.open(folder)
  await enqueueInBatches(queue, inputs(jobs), { first: true })
  const { ms, handled } = await workOff(queue, jobs)
  const counted = await proven(queue, { enqueued: jobs, handled })
  await queue.close()
  return { value: (jobs / ms) * 1000, counted }
}
