// GET and DELETE /jobs/{id}: how a job stands, waiting for its end, cancelling.
import { handle, on } from 'millrace'
import { expect, test } from 'vitest'
import { greet, openStage, orderPaid, tidy } from './support.js'

test('how a job stands, and what its handler said; its input is nobody’s business', async () => {
  const stage = await openStage()
  let go = () => {}
  const held = new Promise<void>((resolve) => (go = resolve))
  const said = new Promise<void>((resolve) => {
    void stage.client.work({
      handlers: [
        handle(greet, async (_input, ctx) => {
          await ctx.progress(0.5, 'half')
          resolve()
          await held
          return { text: 'done' }
        }),
      ],
    })
  })
  const job = await stage.client.enqueue(greet, { name: 'Ada' })
  await said
  await expect
    .poll(async () => (await stage.ask('GET', `/jobs/${job.id}`)).body)
    .toMatchObject({ id: job.id, task: 'greet', state: 'active', progress: 0.5, note: 'half', cancelling: false })
  const waiting = stage.ask('GET', `/jobs/${job.id}`, { headers: { prefer: 'wait=10' } })
  go()
  const { status, headers, body } = await waiting
  expect({ status, body }).toMatchObject({ status: 200, body: { state: 'completed', result: { text: 'done' } } })
  expect(headers.get('preference-applied')).toBe('wait=10')
  for (const hidden of ['input', 'worker', 'headers', 'errors']) expect(body).not.toHaveProperty(hidden)
})

test('a wait that is over answers how the job stands', async () => {
  const stage = await openStage()
  const job = await stage.client.enqueue(greet, { name: 'Ada' })
  const { status, body } = await stage.ask('GET', `/jobs/${job.id}`, { headers: { prefer: 'wait=1' } })
  expect({ status, body }).toMatchObject({ status: 200, body: { state: 'ready' } })
})

test('ids with a slash, encoded and as they are', async () => {
  const stage = await openStage()
  await stage.client.work({ handlers: [on(orderPaid, 'send-receipt', () => {})] })
  await stage.client.publish(orderPaid, { orderId: 'A1', cents: 5 }, { id: 'paid-100%' })
  const plain = await stage.ask('GET', '/jobs/paid-100%25/send-receipt', { headers: { prefer: 'wait=10' } })
  expect(plain).toMatchObject({ status: 200, body: { id: 'paid-100%/send-receipt', state: 'completed' } })
  expect(await stage.ask('GET', `/jobs/${encodeURIComponent('paid-100%/send-receipt')}`)).toMatchObject({ status: 200 })
})

test('an unknown job is 404, for both verbs', async () => {
  const stage = await openStage()
  for (const method of ['GET', 'DELETE'])
    expect(await stage.ask(method, '/jobs/gone')).toMatchObject({ status: 404, body: { code: 'ERR_JOB_NOT_FOUND' } })
  expect(await stage.ask('GET', '/jobs/')).toMatchObject({ status: 404, body: { code: 'ERR_NOT_FOUND' } })
})

test('cancelling: 200 when it waits, again when it is cancelled, 409 when it has finished', async () => {
  const stage = await openStage()
  const waiting = await stage.client.enqueue(greet, { name: 'Ada' })
  for (let i = 0; i < 2; i++)
    expect(await stage.ask('DELETE', `/jobs/${waiting.id}`)).toMatchObject({
      status: 200,
      body: { state: 'cancelled' },
    })
  await stage.client.work({ handlers: [handle(tidy, () => {})] })
  const done = await stage.client.enqueue(tidy)
  await done.result()
  expect(await stage.ask('DELETE', `/jobs/${done.id}`)).toMatchObject({
    status: 409,
    body: { code: 'ERR_JOB_FINISHED', detail: expect.stringMatching(/is completed already/) },
  })
})

test('cancelling a running job: 202, and it ends when its handler does', async () => {
  const stage = await openStage()
  const started = new Promise<void>((resolve) => {
    void stage.client.work({
      handlers: [
        handle(tidy, async (_input, ctx) => {
          resolve()
          await new Promise((end) => ctx.signal.addEventListener('abort', end, { once: true }))
        }),
      ],
    })
  })
  const job = await stage.client.enqueue(tidy)
  await started
  const asked = await stage.ask('DELETE', `/jobs/${job.id}`)
  expect(asked).toMatchObject({ status: 202, body: { state: 'active', cancelling: true } })
  const ended = await stage.ask('GET', `/jobs/${job.id}`, { headers: { prefer: 'wait=10' } })
  expect(ended.body.state).toBe('cancelled')
})
