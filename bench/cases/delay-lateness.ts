// delay-lateness: jobs delayed by 1 to 5 s and an idle worker; by how much each starts after its time. None may start before.
import { inputs } from '../subject.js'
import { percentile } from '../statistics.js'
import { CONCURRENCY, CountError, createTally, proven, type Case } from './case.js'

/** The shortest and the longest delay, in milliseconds. */
const [SHORTEST, LONGEST] = [1000, 5000]
/** Enqueued so many at once. */
const CALLERS = 20

export const delayLateness: Case = {
  name: 'delay-lateness',
  unit: 'ms',
  better: 'less',
  jobs: (base) => Math.ceil(base / 20),
  async measure({ subject, folder, jobs }) {
    const queue = await subject.open(folder)
    const tally = createTally(jobs)
    const all = tally.reached(jobs)
    const dueAt: number[] = []
    const late: number[] = []
    const worker = await queue.work({
      concurrency: CONCURRENCY,
      onStart({ n }) {
        late.push(performance.now() - dueAt[n]!)
        tally.add(n)
      },
    })
    // Spread evenly over all fractions of a second, and none is a neighbour of the next.
    const delayOf = (n: number) => SHORTEST + (((n * 619) % jobs) * (LONGEST - SHORTEST)) / jobs
    const waiting = inputs(jobs)
    const caller = async () => {
      for (let input = waiting.pop(); input; input = waiting.pop()) {
        const delay = Math.round(delayOf(input.n))
        // From before the call: if the job starts sooner than this, it has started too soon by every reckoning.
        dueAt[input.n] = performance.now() + delay
        await queue.enqueue(input, { delay })
      }
    }
    await Promise.all(Array.from({ length: CALLERS }, caller))
    await all
    await worker.stop()
    const counted = await proven(queue, { enqueued: jobs, handled: tally.handled })
    await queue.close()
    const early = late.filter((ms) => ms < 0).length
    if (early > 0) throw new CountError(`${early} of ${jobs} jobs started before their time.`)
    return {
      value: Math.max(...late),
      counted,
      also: { p50: percentile(late, 0.5), p99: percentile(late, 0.99), early },
    }
  },
}
