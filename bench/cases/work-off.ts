// A worker for what waits, until all of it is settled: what `drain` measures, and the proof of the cases that enqueue.
import type { Queue } from '../subject.js'
import { CONCURRENCY, createTally } from './case.js'

/** From starting the worker until it has stopped with all `jobs`, numbered from 0, settled. Filler is not counted. */
export async function workOff(queue: Queue, jobs: number): Promise<{ ms: number; handled: number }> {
  const tally = createTally(jobs)
  const all = tally.reached(jobs)
  const since = performance.now()
  const worker = await queue.work({
    concurrency: CONCURRENCY,
    onStart: ({ n }, kind) => kind === 'measured' && tally.add(n),
  })
  await all
  await worker.stop()
  return { ms: performance.now() - since, handled: tally.handled }
}
