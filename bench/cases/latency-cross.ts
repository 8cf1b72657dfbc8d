// latency-cross-p50: as latency-local-p50, with the worker in another process. The clock is that of the machine.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { percentile } from '../statistics.js'
import { inputs } from '../subject.js'
import { paceOf } from './latency-local.js'
import { proven, type Case } from './case.js'

/** What the worker's process tells: it takes jobs now, or a handler started. */
export type WorkerMessage = { ready: true } | { n: number; at: string }

export const latencyCross: Case = {
  name: 'latency-cross-p50',
  unit: 'ms',
  better: 'less',
  jobs: () => 0,
  async measure({ driver, durability, subject, folder, quick }) {
    const queue = await subject.open(folder)
    const { jobs, pauseBefore, warmUp } = paceOf(subject.latency, quick)
    const place = JSON.stringify({ driver, durability, subject: subject.name, folder })
    const worker = fork(fileURLToPath(new URL('../worker.ts', import.meta.url)), [place], {
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    const ended = once(worker, 'exit')
    const heard = messagesOf(worker, ended)
    await heard()
    const waits: number[] = []
    for (const input of inputs(warmUp + jobs)) {
      await pause(pauseBefore(input.n))
      const since = process.hrtime.bigint()
      await queue.enqueue(input)
      const message = await heard()
      if (!('n' in message) || message.n !== input.n)
        throw new Error(`Job ${input.n} was sent, ${JSON.stringify(message)} came.`)
      if (input.n >= warmUp) waits.push(Number(BigInt(message.at) - since) / 1e6)
    }
    worker.send('stop')
    const [code] = (await ended) as [number | null]
    if (code !== 0) throw new Error(`The process of the worker ended with ${code}.`)
    const counted = await proven(queue, { enqueued: warmUp + jobs, handled: warmUp + waits.length })
    await queue.close()
    return { value: percentile(waits, 0.5), counted, also: { p99: percentile(waits, 0.99) } }
  },
}

/** The next message, also one that came before it was asked for; rejects when the process is gone. */
function messagesOf(worker: ReturnType<typeof fork>, ended: Promise<unknown>): () => Promise<WorkerMessage> {
  const come: WorkerMessage[] = []
  let tell = (): void => {}
  worker.on('message', (message: WorkerMessage) => {
    come.push(message)
    tell()
  })
  const gone = ended.then(() => Promise.reject(new Error('The process of the worker ended early.')))
  gone.catch(() => {}) // it ends in any case; only whoever waits for a message then is told
  return async () => {
    while (come.length === 0) await Promise.race([new Promise<void>((resolve) => (tell = resolve)), gone])
    return come.shift()!
  }
}
