// The process of latency-cross-p50: a worker that tells when its handlers start, until it is told to stop.
import { CONCURRENCY } from './cases/case.js'
import type { WorkerMessage } from './cases/latency-cross.js'
import { subjectOf } from './drivers.js'

const place = JSON.parse(process.argv[2]!) as { driver: string; durability: string; subject: string; folder: string }
const tell = (message: WorkerMessage) => process.send?.(message)

process.once('disconnect', () => process.exit(1)) // whoever measures is gone
const queue = await subjectOf(place).open(place.folder)
const worker = await queue.work({
  concurrency: CONCURRENCY,
  onStart({ n }) {
    tell({ n, at: process.hrtime.bigint().toString() })
  },
})
process.once('message', () => void stop())
tell({ ready: true })

async function stop(): Promise<void> {
  await worker.stop()
  await queue.close()
  process.exit(0)
}
