// gateway: the command `millrace gateway` in a process of its own, asked for jobs by 64 connections of autocannon.
import autocannon from 'autocannon'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { inputs, type Subject } from '../subject.js'
import { CONCURRENCY, CountError, type Case } from './case.js'
import { workOff } from './work-off.js'

const CONNECTIONS = 64
const BIN = join(dirname(createRequire(import.meta.url).resolve('millrace/package.json')), 'bin/millrace.js')

export const gateway: Case = {
  name: 'gateway',
  unit: 'jobs/s',
  better: 'more',
  jobs: (base) => base,
  async measure({ subject, folder, jobs, quick }) {
    const warmUp = quick ? 100 : 2_000
    const all = warmUp + jobs
    await declareTask(subject, folder)
    const { url, stop } = await startGateway(subject, folder)
    await send(url, 0, warmUp)
    const { ms, p50, p99 } = await send(url, warmUp, jobs)
    await stop()

    const queue = await subject.open(folder)
    const { handled } = await workOff(queue, all)
    // Only the store is asked: what another process enqueued, this one does not know.
    const counted = { ...(await queue.count('measured')), enqueued: all, handled }
    if (counted.completed !== all || counted.dead + counted.waiting > 0 || handled !== all)
      throw new CountError(`${all} jobs were accepted, but ${JSON.stringify(counted)}.`)
    await queue.close()
    return { value: (jobs / ms) * 1000, counted, also: { p50Ms: p50, p99Ms: p99 } }
  },
}

/** A gateway knows the tasks of every worker that ran. */
async function declareTask(subject: Subject, folder: string): Promise<void> {
  const queue = await subject.open(folder)
  const worker = await queue.work({ concurrency: CONCURRENCY, onStart() {} })
  await worker.stop()
  await queue.close()
}

async function startGateway(subject: Subject, folder: string) {
  if (subject.url === undefined) throw new Error(`${subject.name} has no URL that a gateway could open.`)
  const args = [BIN, 'gateway', '--port', '0', '--rate-limit', '0', '--json', '--url', subject.url(folder)]
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const ended = once(child, 'exit') as Promise<[number | null]>
  const [line] = (await Promise.race([once(createInterface(child.stdout!), 'line'), ended])) as [string | number | null]
  if (typeof line !== 'string') throw new Error(`The gateway ended with ${line} before it listened.`)
  return {
    url: (JSON.parse(line) as { url: string }).url,
    async stop() {
      child.kill('SIGTERM')
      const [code] = await ended
      if (code !== 0) throw new Error(`The gateway ended with ${code}.`)
    },
  }
}

/** Jobs with the numbers from `from` on, each asked for once, and each accepted. */
async function send(url: string, from: number, jobs: number): Promise<{ ms: number; p50: number; p99: number }> {
  const bodies = inputs(jobs, from).map((input) => JSON.stringify(input))
  let next = 0
  const since = performance.now()
  const result = await autocannon({
    url: `${url}/tasks/bench.measured`,
    connections: CONNECTIONS,
    amount: jobs,
    requests: [
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        setupRequest: (request) => ({ ...request, body: bodies[next++ % jobs]! }),
      },
    ],
  })
  const ms = performance.now() - since
  const accepted = result.statusCodeStats?.['202']?.count ?? 0
  if (accepted !== jobs)
    throw new CountError(`${accepted} of ${jobs} requests were accepted, with ${result.errors} errors.`)
  return { ms, p50: result.latency.p50, p99: result.latency.p99 }
}
