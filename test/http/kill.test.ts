// The gateway as a process, under load: killed or stopped in the middle, every 202 is a job or an event in the store.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { connect, partsOf } from '../../src/connect.js'
import { useFolder } from '../support/folder.js'
import { startNode, type Child } from '../support/process.js'

const folder = useFolder()
const BIN = `${import.meta.dirname}/../../bin/millrace.js`
const WORKER = `${import.meta.dirname}/../cli/fixtures/worker.ts`
const CALLERS = 64
const ENOUGH = 1_000

interface Gateway extends Child {
  readonly url: string
}

async function start(): Promise<Gateway> {
  const env = { MILLRACE_URL: `sqlite:${join(folder(), 'jobs.db')}` }
  expect(await startNode([BIN, 'setup', WORKER], { env }).ended).toBe(0)
  const child = startNode([BIN, 'gateway', '--port', '0', '--rate-limit', '0', '--json'], { env })
  const { url } = JSON.parse(await child.line(/^\{"url"/)) as { url: string }
  return { ...child, url }
}

/** Requests at once until the gateway is gone; ids of what it accepted. `enough` resolves when that is a good many. */
function load(url: string) {
  const accepted = { jobs: new Set<string>(), events: new Set<string>() }
  const refused: number[] = []
  let tell = () => {}
  const enough = new Promise<void>((resolve) => (tell = resolve))
  let n = 0

  async function caller(): Promise<void> {
    for (;;) {
      const event = n++ % 4 === 0
      const [path, type, body] = event
        ? ['/events', 'application/cloudevents+json', { specversion: '1.0', id: `e${n}`, source: '/load', type: 'a.b' }]
        : ['/tasks/greet', 'application/json', { name: `n${n}` }]
      let response: Response
      let text: string
      try {
        response = await fetch(url + path, {
          method: 'POST',
          headers: { 'content-type': type as string },
          body: JSON.stringify(body),
        })
        text = await response.text()
      } catch {
        return // nobody listens any more, or the answer was cut off: nothing was promised
      }
      const answer = JSON.parse(text) as { id: string; events: [{ id: string }] }
      if (response.status !== 202) refused.push(response.status)
      else if (event) accepted.events.add(answer.events[0].id)
      else accepted.jobs.add(answer.id)
      if (accepted.jobs.size + accepted.events.size >= ENOUGH) tell()
    }
  }

  const over = Promise.all(Array.from({ length: CALLERS }, caller))
  return { accepted, refused, enough, over }
}

async function stored(): Promise<{ jobs: Set<string>; events: Set<string> }> {
  const client = await connect(`sqlite:${join(folder(), 'jobs.db')}`)
  const jobs = new Set<string>()
  let cursor: string | undefined
  do {
    const page = await client.jobs.list({ limit: 1_000, ...(cursor !== undefined && { cursor }) })
    for (const { id } of page.jobs) jobs.add(id)
    cursor = page.cursor
  } while (cursor !== undefined)
  const { eventLog } = await partsOf(client).session.open()
  const events = new Set((await eventLog.list({ limit: 1_000_000 })).map(({ id }) => id))
  await client.close()
  return { jobs, events }
}

const missing = (wanted: Set<string>, there: Set<string>) => [...wanted].filter((id) => !there.has(id))

test('kill -9 in the middle: everything that was answered with 202 is in the store', async () => {
  const gateway = await start()
  const { accepted, enough, over } = load(gateway.url)
  await enough
  gateway.process.kill('SIGKILL')
  expect(await gateway.ended).toBe('SIGKILL')
  await over
  const there = await stored()
  expect(accepted.jobs.size + accepted.events.size).toBeGreaterThanOrEqual(ENOUGH)
  expect([missing(accepted.jobs, there.jobs), missing(accepted.events, there.events)]).toEqual([[], []])
}, 60_000)

test('SIGTERM in the middle: what waits is answered, exit code 0, and nothing is kept that was not answered', async () => {
  const gateway = await start()
  const { accepted, refused, enough, over } = load(gateway.url)
  const waiting = fetch(`${gateway.url}/tasks/greet`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=60' },
    body: '{"name":"waits"}',
  })
  await enough
  gateway.process.kill('SIGTERM')
  expect(await gateway.ended).toBe(0)
  const waited = await waiting
  expect(waited.status).toBe(202)
  accepted.jobs.add(((await waited.json()) as { id: string }).id)
  await over
  const there = await stored()
  expect(there).toEqual(accepted)
  expect(refused.filter((status) => status !== 503)).toEqual([])
}, 60_000)
