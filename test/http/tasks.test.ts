// POST /tasks/{name}: what becomes a job, what does not, and waiting for the result.
import { defineTask, handle, NonRetryableError } from 'millrace'
import { expect, test } from 'vitest'
import { greet, jobsIn, openStage, tidy } from './support.js'

const greeter = handle(greet, ({ name }) => ({ text: `Hello, ${name}!` }))

test('a job is queued: 202, its id, and where it is', async () => {
  const stage = await openStage()
  const { status, headers, body } = await stage.ask('POST', '/tasks/greet', { json: { name: 'Ada' } })
  expect(status).toBe(202)
  expect(body).toEqual({ id: expect.any(String), duplicate: false })
  expect(headers.get('location')).toBe(`/jobs/${body.id}`)
  expect(headers.get('cache-control')).toBe('no-store')
  expect(await jobsIn(stage)).toEqual([{ id: body.id, name: 'greet', state: 'ready', input: { name: 'Ada' } }])
})

test('an empty body is no input', async () => {
  const stage = await openStage()
  expect((await stage.ask('POST', '/tasks/tidy')).status).toBe(202)
  expect(await jobsIn(stage)).toMatchObject([{ name: 'tidy', input: undefined }])
})

test('delay, priority, unique key and group in the query; the trace in headers', async () => {
  const stage = await openStage()
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const path = '/tasks/greet?delay=5m&priority=7&unique=k%201&group=tenant'
  const first = await stage.ask('POST', path, { json: { name: 'Ada' }, headers: { traceparent } })
  const info = await stage.client.jobs.get(first.body.id)
  expect(info).toMatchObject({ state: 'scheduled', priority: 7, uniqueKey: 'k 1', group: 'tenant' })
  expect(info!.headers).toEqual({ traceparent })
  expect(info!.dueAt.getTime() - info!.enqueuedAt.getTime()).toBe(300_000)

  const again = await stage.ask('POST', path, { json: { name: 'Bob' } })
  expect(again).toMatchObject({ status: 202, body: { id: first.body.id, duplicate: true } })
})

test('Prefer: wait answers 200 with the result', async () => {
  const stage = await openStage()
  await stage.client.work({ handlers: [greeter] })
  const { status, headers, body } = await stage.ask('POST', '/tasks/greet', {
    json: { name: 'Ada' },
    headers: { prefer: 'respond-async, wait="10"' },
  })
  expect({ status, body }).toMatchObject({
    status: 200,
    body: { duplicate: false, task: 'greet', state: 'completed', attempt: 1, result: { text: 'Hello, Ada!' } },
  })
  expect(headers.get('preference-applied')).toBe('wait=10')
  expect(body).not.toHaveProperty('input')
})

test('Prefer: wait that is over answers 202 with how the job stands', async () => {
  const stage = await openStage()
  const { status, headers, body } = await stage.ask('POST', '/tasks/greet', {
    json: { name: 'Ada' },
    headers: { prefer: 'wait=1' },
  })
  expect({ status, state: body.state }).toEqual({ status: 202, state: 'ready' })
  expect(headers.get('preference-applied')).toBe('wait=1')
  expect(headers.get('location')).toBe(`/jobs/${body.id}`)
})

test('a job that dies within the wait: 200, with name and message of its error and no stack', async () => {
  const stage = await openStage()
  const fail = handle(greet, () => Promise.reject(new NonRetryableError('no such person')))
  await stage.client.work({ handlers: [fail] })
  const { status, body } = await stage.ask('POST', '/tasks/greet', {
    json: { name: 'Ada' },
    headers: { prefer: 'wait=10' },
  })
  expect({ status, body }).toMatchObject({
    status: 200,
    body: { state: 'dead', reason: 'failed', error: { name: 'NonRetryableError', message: 'no such person' } },
  })
  expect(JSON.stringify(body)).not.toMatch(/stack|\.ts/)
})

test('waits never go on for longer than maxWait, and a preference that makes no sense is none', async () => {
  const stage = await openStage({ maxWait: '1s' })
  const capped = await stage.ask('POST', '/tasks/greet', { json: { name: 'Ada' }, headers: { prefer: 'wait=600' } })
  expect(capped.headers.get('preference-applied')).toBe('wait=1')
  const senseless = await stage.ask('POST', '/tasks/greet', { json: { name: 'Ada' }, headers: { prefer: 'wait=soon' } })
  expect(senseless.status).toBe(202)
  expect(senseless.headers.get('preference-applied')).toBeNull()
})

test('more waits than maxInFlight are answered at once', async () => {
  const stage = await openStage({ maxInFlight: 1 })
  const gone = new AbortController()
  const ask = (signal?: AbortSignal) =>
    stage.ask('POST', '/tasks/greet', {
      json: { name: 'Ada' },
      headers: { prefer: 'wait=60' },
      ...(signal && { signal }),
    })
  const waiting = ask(gone.signal)
  while (stage.handle.stats().waiting === 0) await new Promise((resolve) => setImmediate(resolve))
  const second = await ask()
  expect([second.status, second.headers.get('preference-applied')]).toEqual([202, null])
  gone.abort() // whoever asked is gone, and nothing goes on in its name
  await waiting
  expect(stage.handle.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
})

test('close() answers what waits, and takes on nothing more', async () => {
  const stage = await openStage()
  const waiting = stage.ask('POST', '/tasks/greet', { json: { name: 'Ada' }, headers: { prefer: 'wait=60' } })
  while (stage.handle.stats().waiting === 0) await new Promise((resolve) => setImmediate(resolve))
  stage.handle.close()
  expect(await waiting).toMatchObject({ status: 202, body: { state: 'ready' } })
  const refused = await stage.ask('POST', '/tasks/greet', { json: { name: 'Ada' } })
  expect(refused).toMatchObject({ status: 503, body: { code: 'ERR_STOPPING' } })
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(await jobsIn(stage)).toHaveLength(1)
})

test('Idempotency-Key: the same key is the same job, quoted or not, until another input comes', async () => {
  const stage = await openStage({ tasks: [greet, tidy] })
  const send = (key: string, json?: unknown, task = 'greet') =>
    stage.ask('POST', `/tasks/${task}`, { ...(json !== undefined && { json }), headers: { 'idempotency-key': key } })
  const first = await send('"order 1"', { name: 'Ada' })
  expect(first).toMatchObject({ status: 202, body: { duplicate: false } })
  const again = await send('order 1', { name: 'Ada' })
  expect(again).toMatchObject({ status: 202, body: { id: first.body.id, duplicate: true } })
  expect(await send('order 1', { name: 'Bob' })).toMatchObject({ status: 422, body: { code: 'ERR_IDEMPOTENCY_KEY' } })
  const other = await send('order 1', undefined, 'tidy')
  expect(other).toMatchObject({ status: 202, body: { duplicate: false } })
  expect(await send('', { name: 'Ada' })).toMatchObject({ status: 400 })
  expect(await send('x'.repeat(256), { name: 'Ada' })).toMatchObject({ status: 400 })
  expect(await jobsIn(stage)).toHaveLength(2)
})

test('at the same time, too: many requests with one key are one job', async () => {
  const stage = await openStage()
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      stage.ask('POST', '/tasks/greet', { json: { name: 'Ada' }, headers: { 'idempotency-key': 'k' } }),
    ),
  )
  expect(answers.filter(({ body }) => body.duplicate === false)).toHaveLength(1)
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
  expect(await jobsIn(stage)).toHaveLength(1)
})

const GREET = { json: { name: 'Ada' } }
test.each<[string, string, object, number, string, RegExp]>([
  ['unknown task', '/tasks/gone', GREET, 404, 'ERR_TASK_NOT_FOUND', /There is no task "gone"/],
  ['unknown parameter', '/tasks/greet?dely=5m', GREET, 400, 'ERR_BAD_REQUEST', /"dely": there is no such parameter/],
  ['parameter twice', '/tasks/greet?delay=5m&delay=6m', GREET, 400, 'ERR_BAD_REQUEST', /"delay": it is there twice/],
  ['no duration', '/tasks/greet?delay=5', GREET, 400, 'ERR_BAD_REQUEST', /"delay": "5" is no duration/],
  ['no priority', '/tasks/greet?priority=10', GREET, 400, 'ERR_BAD_REQUEST', /"priority": "10" is no whole number/],
  [
    'no unique key',
    '/tasks/greet?unique=',
    GREET,
    400,
    'ERR_BAD_REQUEST',
    /"unique": The unique key "" is not allowed/,
  ],
  ['no group', '/tasks/greet?group=%00', GREET, 400, 'ERR_BAD_REQUEST', /"group": The group/],
  [
    'no JSON',
    '/tasks/greet',
    { body: '{', headers: { 'content-type': 'application/json' } },
    400,
    'ERR_BAD_REQUEST',
    /no JSON/,
  ],
  [
    'no UTF-8',
    '/tasks/greet',
    { body: Buffer.from('"\xff"', 'latin1'), headers: { 'content-type': 'application/json' } },
    400,
    'ERR_BAD_REQUEST',
    /UTF-8/,
  ],
  [
    'another type',
    '/tasks/greet',
    { body: 'name=Ada', headers: { 'content-type': 'text/plain' } },
    415,
    'ERR_MEDIA_TYPE',
    /text\/plain; send application\/json/,
  ],
  ['input for none', '/tasks/tidy', GREET, 422, 'ERR_VALIDATION', /nothing is expected here/],
  ['none for an input', '/tasks/greet', {}, 422, 'ERR_VALIDATION', /does not fit its schema/],
  ['another method', '/tasks/greet', { method: 'PUT' }, 405, 'ERR_METHOD_NOT_ALLOWED', /POST/],
])('%s is refused, and nothing is queued', async (_what, path, asked, status, code, detail) => {
  const stage = await openStage()
  const { method = 'POST', ...rest } = asked as { method?: string }
  const answer = await stage.ask(method, path, rest)
  expect(answer).toMatchObject({
    status,
    body: { type: 'about:blank', status, code, detail: expect.stringMatching(detail) },
  })
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(await jobsIn(stage)).toEqual([])
})

test('a schema that fails answers 422 with its issues', async () => {
  const stage = await openStage()
  const { status, body } = await stage.ask('POST', '/tasks/greet', { json: { name: 5 } })
  expect({ status, issues: body.issues }).toEqual({
    status: 422,
    issues: [{ path: '$.name', message: expect.stringMatching(/string/) }],
  })
})

test('tasks that only the store knows are checked by what was kept of them', async () => {
  const stage = await openStage({ tasks: undefined as never })
  expect(await stage.ask('POST', '/tasks/greet', GREET)).toMatchObject({ status: 404 })
  const keyed = defineTask('keyed', { unique: () => 'k' })
  await stage.client.work({ handlers: [greeter, handle(keyed, () => {})] })
  await expect
    .poll(async () => (await stage.ask('POST', '/tasks/greet', { json: { name: 5 } })).body.issues?.[0]?.path)
    .toBe('$.name')
  const done = await stage.ask('POST', '/tasks/greet', { ...GREET, headers: { prefer: 'wait=10' } })
  expect(done.body.result).toEqual({ text: 'Hello, Ada!' })
  expect(await stage.ask('POST', '/tasks/keyed')).toMatchObject({
    status: 501,
    body: { code: 'ERR_UNSUPPORTED', detail: expect.stringMatching(/makes unique keys or groups in code/) },
  })
  expect(await stage.ask('POST', '/tasks/keyed?unique=mine')).toMatchObject({ status: 202 })
})
