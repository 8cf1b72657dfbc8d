// Two worker processes share one queue on RabbitMQ, and one of them is killed in the middle: the other does its work, too.
//   npm run demo:rabbitmq
// It asks RabbitMQ at amqp://localhost, or where MILLRACE_URL says. Results and history live in a SQLite file beside it: a
// folder of its own, which is removed at the end, or where MILLRACE_STORE says.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'millrace'
import { say, title } from '../orders/print.js'
import { startMillrace, type Program } from '../orders/processes.js'
import { makeThumbnail } from './contracts.js'

const PICTURES = 60
const folder = mkdtempSync(join(tmpdir(), 'millrace-thumbnails-'))
const env = {
  MILLRACE_URL: process.env['MILLRACE_URL'] ?? 'amqp://localhost',
  MILLRACE_STORE: process.env['MILLRACE_STORE'] ?? `sqlite:${join(folder, 'thumbnails.db')}`,
}
const running: Program[] = []

try {
  await demo()
} finally {
  await Promise.all(running.map((one) => one.stop()))
  rmSync(folder, { recursive: true, force: true })
}

async function demo(): Promise<void> {
  title('Start', 'two workers, each a process of its own')
  const [first, second] = [startWorker('worker 1'), startWorker('worker 2')]
  await Promise.all([first.line(/Worker started/), second.line(/Worker started/)])

  title(`${PICTURES} pictures come in`, 'each is a persistent message in a durable queue once enqueueMany resolves')
  const client = await connect({ broker: env.MILLRACE_URL, store: env.MILLRACE_STORE })
  try {
    const inputs = Array.from({ length: PICTURES }, (_, i) => ({ picture: `IMG_${1000 + i}.jpg`, width: 320 }))
    const jobs = await client.enqueueMany(makeThumbnail, inputs)
    const made = jobs.map((job) => job.result({ timeout: '60s' }))
    await Promise.any(made.map((one) => isOf(first, one))) // worker 1 has done something,
    await first.next(/scaling/) // and has begun something else

    title('Worker 1 is killed', 'kill -9, with work in its hands; nobody tells the others')
    first.kill()
    await first.ended

    title('Worker 2 goes on', 'what worker 1 held comes to it as well, when the lease of 15 s is over')
    const results = await Promise.all(made)
    title('All thumbnails are made', 'none is lost, and each has one result')
    const perWorker = new Map<number, number>()
    for (const { pid } of results) perWorker.set(pid, (perWorker.get(pid) ?? 0) + 1)
    for (const [pid, count] of perWorker) say(`  process ${pid} made ${count}.`)
    say(`  ${new Set(results.map(({ file }) => file)).size} of ${PICTURES} thumbnails are there.`)
  } finally {
    await client.close()
  }

  title('What an operator sees')
  await startMillrace('', ['queues', 'list'], env).ended
  await startMillrace('', ['workers', 'list'], env).ended
}

async function isOf(worker: Program, result: Promise<{ pid: number }>): Promise<void> {
  if ((await result).pid !== worker.pid) throw new Error('another worker made it')
}

function startWorker(name: string): Program {
  const program = startMillrace(name, ['work', join(import.meta.dirname, 'worker.ts')], env)
  running.push(program)
  return program
}
