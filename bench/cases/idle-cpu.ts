// idle-cpu: what a worker costs that has nothing to do, all threads of its process included.
import { setTimeout as pause } from 'node:timers/promises'
import { enqueueInBatches, inputs } from '../subject.js'
import { CONCURRENCY, createTally, proven, type Case } from './case.js'

const JOBS = 100

export const idleCpu: Case = {
  name: 'idle-cpu',
  unit: '% of a core',
  better: 'less',
  jobs: () => JOBS, // before and after, so that it is sure to be at work
  async measure({ subject, folder, jobs, quick }) {
    const queue = await subject.open(folder)
    const tally = createTally(jobs)
    const worker = await queue.work({ concurrency: CONCURRENCY, onStart: ({ n }) => tally.add(n) })
    await enqueueInBatches(queue, inputs(jobs / 2))
    await tally.reached(jobs / 2)
    await pause(quick ? 200 : 2000)
    const [before, since] = [process.cpuUsage(), performance.now()]
    await pause(quick ? 1000 : 20_000)
    const { user, system } = process.cpuUsage(before)
    const ms = performance.now() - since
    await enqueueInBatches(queue, inputs(jobs / 2, jobs / 2))
    await tally.reached(jobs)
    await worker.stop()
    const counted = await proven(queue, { enqueued: jobs, handled: tally.handled })
    await queue.close()
    return { value: ((user + system) / 1000 / ms) * 100, counted, also: { seconds: ms / 1000 } }
  },
}
