// A database full of other jobs: waiting, or finished.
import { CONCURRENCY, CountError } from './cases/case.js'
import { enqueueInBatches, inputs, type Queue, type Subject } from './subject.js'

const PORTION = 10_000

/** Enqueue `jobs` jobs that nobody works on. */
export async function fill(subject: Subject, folder: string, jobs: number): Promise<void> {
  const queue = await subject.open(folder)
  for (let from = 0; from < jobs; from += PORTION)
    await enqueueInBatches(queue, inputs(Math.min(PORTION, jobs - from), from), { kind: 'filler' })
  await check(queue, { completed: 0, waiting: jobs })
  await queue.close()
}

/** Do all of them. */
export async function finish(subject: Subject, folder: string, jobs: number): Promise<void> {
  const queue = await subject.open(folder)
  let started = 0
  let tell!: () => void
  const all = new Promise<void>((resolve) => (tell = resolve))
  const worker = await queue.work({
    concurrency: CONCURRENCY,
    onStart() {
      if (++started === jobs) tell()
    },
  })
  await all
  await worker.stop()
  await check(queue, { completed: jobs, waiting: 0 })
  await queue.close()
}

async function check(queue: Queue, expected: { completed: number; waiting: number }): Promise<void> {
  const { completed, waiting, dead } = await queue.count('filler')
  if (completed === expected.completed && waiting === expected.waiting && dead === 0) return
  const found = JSON.stringify({ completed, waiting, dead })
  throw new CountError(`The filler should be ${JSON.stringify(expected)}, but is ${found}.`)
}
