// latency-local-p50: an idle worker in this process, one job at a time, from the call of enqueue to the start of its handler.
import { setTimeout as pause } from 'node:timers/promises'
import { percentile } from '../statistics.js'
import { inputs } from '../subject.js'
import { CONCURRENCY, createTally, proven, type Case } from './case.js'

export const latencyLocal: Case = {
  name: 'latency-local-p50',
  unit: 'ms',
  better: 'less',
  jobs: () => 0, // the subject says how many: some look only once a second
  async measure({ subject, folder, quick }) {
    const queue = await subject.open(folder)
    const { jobs, pauseBefore, warmUp } = paceOf(subject.latency, quick)
    const tally = createTally(warmUp + jobs)
    let startedAt = 0
    const worker = await queue.work({
      concurrency: CONCURRENCY,
      onStart({ n }) {
        startedAt = performance.now()
        tally.add(n)
      },
    })
    const waits: number[] = []
    for (const input of inputs(warmUp + jobs)) {
      await pause(pauseBefore(input.n))
      const started = tally.reached(input.n + 1)
      const since = performance.now()
      await queue.enqueue(input)
      await started
      if (input.n >= warmUp) waits.push(startedAt - since)
    }
    await worker.stop()
    const counted = await proven(queue, { enqueued: warmUp + jobs, handled: tally.handled })
    await queue.close()
    return { value: percentile(waits, 0.5), counted, also: { p99: percentile(waits, 0.99) } }
  },
}

/** When jobs come that come one at a time: after pauses of all lengths up to the longest, the first few not counted. */
export function paceOf({ jobs, longestPause }: { jobs: number; longestPause: number }, quick: boolean) {
  const measured = Math.ceil(quick ? jobs / 20 : jobs)
  const warmUp = Math.ceil(measured / 10)
  const pauseBefore = (n: number) => (longestPause * ((n % measured) + 0.5)) / measured
  return { jobs: measured, warmUp, pauseBefore }
}
