// single-enqueue-N: N callers, each awaits one enqueue after the other, as N requests to a web server would.
import { inputs } from '../subject.js'
import { proven, type Case } from './case.js'
import { workOff } from './work-off.js'

export const singleEnqueue1: Case = {
  ...singleEnqueue(1),
  jobs: (base) => Math.ceil(base / 10), // one at a time, each waits for the disk
}
export const singleEnqueue64: Case = singleEnqueue(64)

function singleEnqueue(callers: number): Case {
  return {
    name: `single-enqueue-${callers}`,
    unit: 'jobs/s',
    better: 'more',
    jobs: (base) => base * 5,
    warmUp: 2000,
    async measure({ subject, folder, jobs }) {
      const queue = await subject.open(folder)
      const all = inputs(jobs)
      let next = 0
      const caller = async () => {
        while (next < jobs) await queue.enqueue(all[next++]!)
      }
      const since = performance.now()
      await Promise.all(Array.from({ length: callers }, caller))
      const ms = performance.now() - since
      const { handled } = await workOff(queue, jobs)
      const counted = await proven(queue, { enqueued: jobs, handled })
      await queue.close()
      return { value: (jobs / ms) * 1000, counted }
    },
  }
}
