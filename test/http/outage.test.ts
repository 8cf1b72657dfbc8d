// The store is slow or away: 503, honest about what was kept, and never a 202 for what was not.
import { expect, test } from 'vitest'
import { createFlow } from '../../src/http/flow.js'
import { jobsIn, openStage } from './support.js'

const GREET = { json: { name: 'Ada' } }
const EVENT = {
  json: { specversion: '1.0', id: 'e1', source: '/shop', type: 'order.paid' },
  headers: { 'content-type': 'application/cloudevents+json' },
}

test('a store that is locked for longer than publishTimeout: 503, nothing was kept, and that is how it stays', async () => {
  const stage = await openStage({}, { publishTimeout: 200 })
  const outage = await stage.place.outage!()
  const [task, event] = await Promise.all([
    stage.ask('POST', '/tasks/greet', GREET),
    stage.ask('POST', '/events', EVENT),
  ])
  for (const { status, headers, body } of [task, event]) {
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { code: 'ERR_BROKER_UNAVAILABLE', outcome: 'not-sent', detail: expect.stringMatching(/nothing was kept/) },
    })
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect(JSON.stringify(body)).not.toMatch(/jobs\.db|millrace-/) // the file is nobody's business
  }
  await outage.end()
  const later = await stage.ask('POST', '/events', EVENT)
  expect(later).toMatchObject({ status: 202, body: { events: [{ duplicate: false }] } })
  expect(await jobsIn(stage)).toEqual([])
})

test('a store that is slower than the gateway’s timeout: 503, outcome unknown, and the key makes it safe to ask again', async () => {
  const stage = await openStage({ timeout: 100 })
  const outage = await stage.place.outage!()
  const asked = { ...GREET, headers: { 'idempotency-key': 'k1' } }
  const { status, body } = await stage.ask('POST', '/tasks/greet', asked)
  expect({ status, body }).toMatchObject({
    status: 503,
    body: { outcome: 'unknown', detail: expect.stringMatching(/may have been kept/) },
  })
  await outage.end()
  await expect.poll(async () => (await jobsIn(stage)).length).toBe(1) // it was kept after all
  expect(await stage.ask('POST', '/tasks/greet', asked)).toMatchObject({ status: 202, body: { duplicate: true } })
  expect(await jobsIn(stage)).toHaveLength(1)
})

test('while it waits for the store it takes no more than it can hold', async () => {
  const stage = await openStage({ maxInFlight: 8 }, { publishTimeout: 300 })
  const outage = await stage.place.outage!()
  const answers = await Promise.all(Array.from({ length: 40 }, () => stage.ask('POST', '/tasks/greet', GREET)))
  const codes = answers.map(({ body }) => body.code as string)
  expect(codes.filter((code) => code === 'ERR_BROKER_UNAVAILABLE')).toHaveLength(8)
  expect(codes.filter((code) => code === 'ERR_OVERLOADED')).toHaveLength(32)
  await outage.end()
  expect((await stage.ask('POST', '/tasks/greet', GREET)).status).toBe(202)
  expect(await jobsIn(stage)).toHaveLength(1)
})

test('a look that the store does not answer says nothing of what was kept', async () => {
  const flow = createFlow({ maxInFlight: 1, timeout: 20 })
  const silence = new Promise<never>(() => {})
  await expect(flow.read(silence)).rejects.toMatchObject({ code: 'ERR_BROKER_UNAVAILABLE', more: {} })
  await expect(flow.write(silence)).rejects.toMatchObject({ status: 503, more: { outcome: 'unknown' } })
  expect(await flow.read(Promise.resolve(5))).toBe(5)
})
