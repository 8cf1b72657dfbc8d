// rss-growth: by how much a process grows that enqueues and does a million jobs, in rounds of 10,000.
import { median } from '../statistics.js'
import { enqueueInBatches, inputs } from '../subject.js'
import { CONCURRENCY, createTally, fillerOf, proven, type Case } from './case.js'

/** Rounds that are measured; a tenth as many go before, until heap and caches have their size. */
const ROUNDS = 100
const WARM_UP = 10
/** The growth is that from the median of the first so many rounds to that of the last. */
const ENDS = 10

export const rssGrowth: Case = {
  name: 'rss-growth',
  unit: 'MB',
  better: 'less',
  jobs: fillerOf,
  async measure({ subject, folder, jobs }) {
    const queue = await subject.open(folder)
    const perRound = Math.ceil(jobs / ROUNDS)
    const total = (WARM_UP + ROUNDS) * perRound
    const tally = createTally(total)
    const worker = await queue.work({ concurrency: CONCURRENCY, onStart: ({ n }) => tally.add(n) })
    const samples: number[] = []
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      await enqueueInBatches(queue, inputs(perRound, round * perRound))
      await tally.reached((round + 1) * perRound)
      if (round >= WARM_UP) samples.push(process.memoryUsage.rss() / 1e6)
    }
    await worker.stop()
    const counted = await proven(queue, { enqueued: total, handled: tally.handled })
    await queue.close()
    const [first, last] = [median(samples.slice(0, ENDS)), median(samples.slice(-ENDS))]
    return { value: last - first, counted, also: { first, last, most: Math.max(...samples) } }
  },
}
