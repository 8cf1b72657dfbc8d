// The whole way of an event, on one machine: a gateway takes it, a task is queued, a worker does it, its result comes back;
// subscribers hear of it, and a schedule ticks beside. It ends by itself.
//   npm run demo
// Another broker or file: set MILLRACE_URL (and MILLRACE_STORE); else all of it lives in a folder that is removed at the end.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMillrace, type Program } from './processes.js'
import { send, type Answer } from './send.js'
import { say, title } from './print.js'

const folder = mkdtempSync(join(tmpdir(), 'millrace-orders-'))
const env = { MILLRACE_URL: process.env['MILLRACE_URL'] ?? `sqlite:${join(folder, 'orders.db')}` }
const running: Program[] = []
const MOST_TRIES = 200

try {
  await demo()
} finally {
  await Promise.all(running.map((one) => one.stop()))
  rmSync(folder, { recursive: true, force: true })
}

async function demo(): Promise<void> {
  title('Start', 'a worker with its handlers, subscriptions and schedule; and a gateway that speaks HTTP')
  const worker = start('worker', 'work', join(import.meta.dirname, 'worker.ts'))
  await worker.line(/Worker started/)
  const gateway = start('gateway', 'gateway', '--port', '0')
  const [, url = ''] = await gateway.line(/(http:\/\/[\d.:]+)/)

  title('1. An order is placed', 'a CloudEvent comes in; it is on disk, with a copy for every subscription, before 202')
  const order = { orderId: 'A1', email: 'ada@example.com', cents: 4200 }
  const placed = await send(url, 'POST', '/events', {
    headers: { 'content-type': 'application/cloudevents+json' },
    body: { specversion: '1.0', id: 'order-A1', source: '/shop', type: 'order.placed', data: order },
  })
  const { id } = (placed.body as { events: { id: string }[] }).events[0]!

  title('2. The event has started a task', 'the worker did it, and its result comes back')
  await result(url, `${id}/task/card.charge`)
  await worker.line(/noted: order.paid/)
  await worker.line(/sent: Order A1 is paid/)
  say('The handler has published order.paid: the mail is sent, the audit has noted it.')

  title('3. The same event again', 'senders repeat themselves; nothing happens twice')
  await send(url, 'POST', '/events', {
    headers: {
      'content-type': 'application/json',
      'ce-specversion': '1.0',
      'ce-id': 'order-A1',
      'ce-source': '/shop',
      'ce-type': 'order.placed',
    },
    body: order,
  })

  title('4. A task is asked for, and waited for', 'its first attempt fails; the retry is the worker’s business')
  await send(url, 'POST', '/tasks/card.charge', {
    headers: { 'content-type': 'application/json', prefer: 'wait=20', 'idempotency-key': 'order-B2' },
    body: { orderId: 'B2', email: 'bob@example.com', cents: 12_000 },
  })

  title('5. An order that makes no sense', 'is refused with what is wrong, and nothing is queued')
  await send(url, 'POST', '/tasks/card.charge', {
    headers: { 'content-type': 'application/json' },
    body: { orderId: 'C3', email: 'nobody', cents: -1 },
  })

  title('6. The schedule ticks', 'every two seconds, whatever else there is to do')
  await worker.next(/sales report/)

  title('7. What an operator sees')
  for (const verb of [
    ['events', 'list'],
    ['subscriptions', 'list'],
    ['schedules', 'list'],
    ['jobs', 'list'],
  ])
    await start('', ...verb).ended

  title('Stop', 'both finish what they have in hand, and end')
  for (const one of running.splice(0)) await one.stop()
  say('Everything that was asked for was done.')
}

function start(name: string, ...args: string[]): Program {
  const program = startMillrace(name, args, env)
  if (name !== '') running.push(program)
  return program
}

/** Ask for a job until it has finished. A moment may pass before an event has led to its job. */
async function result(url: string, job: string): Promise<Answer> {
  const path = `/jobs/${encodeURIComponent(job)}`
  for (let tries = 1; ; tries++) {
    const quietOn = tries < MOST_TRIES ? 404 : undefined
    const answer = await send(url, 'GET', path, { headers: { prefer: 'wait=20' }, again: tries > 1, quietOn })
    if (answer.status !== 404) return answer
    if (tries === MOST_TRIES) throw new Error(`${path} is not there.`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
