// bulk-enqueue: one caller, 500 jobs in a call, each call awaited.
import { enqueueInBatches, inputs } from '../subject.js'
import { proven, type Case } from './case.js'
import { workOff } from './work-off.js'

export const bulkEnqueue: Case = {
  name: 'bulk-enqueue',
  unit: 'jobs/s',
  better: 'more',
  jobs: (base) => base * 5,
  warmUp: 2000,
  async measure({ subject, folder, jobs }) {
    const queue = await subject.open(folder)
    const all = inputs(jobs)
    const since = performance.now()
    await enqueueInBatches(queue, all)
    const ms = performance.now() - since
    const { handled } = await workOff(queue, jobs)
    const counted = await proven(queue, { enqueued: jobs, handled })
    await queue.close()
    return { value: (jobs / ms) * 1000, counted }
  },
}
