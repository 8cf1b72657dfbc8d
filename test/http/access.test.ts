// Who may do what: tokens, scopes and limits to tasks and events, pages of browsers, rates, sizes; and options that are refused.
import { createHash } from 'node:crypto'
import { connect } from 'millrace'
import { describe, expect, test } from 'vitest'
import { gateway, type GatewayOptions, type GatewayToken } from '../../src/http/index.js'
import { createRateLimit } from '../../src/http/rate-limit.js'
import { askOf, greet, jobsIn, openStage, tidy } from './support.js'

const secret = (name: string) => `${name}-0123456789abcdef`
const bearer = (name: string) => ({ authorization: `Bearer ${secret(name)}` })
const TOKENS: readonly GatewayToken[] = [
  { name: 'all', token: secret('all'), scopes: ['publish', 'enqueue', 'read', 'cancel'] },
  { name: 'hashed', sha256: createHash('sha256').update(secret('hashed')).digest('hex'), scopes: ['read'] },
  { name: 'greeter', token: secret('greeter'), scopes: ['enqueue', 'read', 'cancel'], tasks: ['greet'] },
  { name: 'writer', token: secret('writer'), scopes: ['enqueue'] },
  { name: 'orders', token: secret('orders'), scopes: ['publish'], events: ['order.#', 'shop.closed'] },
]
const GREET = { json: { name: 'Ada' } }
const EVENT = { specversion: '1.0', id: 'e1', source: '/shop', type: 'order.paid' }
const structured = { 'content-type': 'application/cloudevents+json' }

describe('tokens', () => {
  test.each<[string, Record<string, string>, string]>([
    ['none', {}, 'Bearer realm="millrace"'],
    ['another scheme', { authorization: 'Basic YTpi' }, 'Bearer realm="millrace"'],
    ['an unknown one', bearer('unknown'), 'Bearer realm="millrace", error="invalid_token"'],
    [
      'one that begins well',
      { authorization: `Bearer ${secret('all').slice(0, -1)}` },
      'Bearer realm="millrace", error="invalid_token"',
    ],
  ])('%s: 401 with a challenge, on every route', async (_what, headers, challenge) => {
    const stage = await openStage({ tokens: TOKENS })
    for (const [method, path] of [
      ['POST', '/tasks/greet'],
      ['POST', '/events'],
      ['GET', '/jobs/a'],
      ['DELETE', '/jobs/a'],
      ['GET', '/openapi.json'],
    ] as const) {
      const answer = await stage.ask(method, path, { headers })
      expect(answer).toMatchObject({ status: 401, body: { code: 'ERR_UNAUTHORIZED' } })
      expect(answer.headers.get('www-authenticate')).toBe(challenge)
    }
    expect(await jobsIn(stage)).toEqual([])
  })

  test('health needs none', async () => {
    const stage = await openStage({ tokens: TOKENS })
    for (const path of ['/healthz', '/readyz'])
      expect(await stage.ask('GET', path)).toMatchObject({ status: 200, body: { status: 'ok' } })
  })

  test.each<[string, string, string, string]>([
    ['hashed', 'POST', '/tasks/greet', 'enqueue'],
    ['hashed', 'POST', '/events', 'publish'],
    ['hashed', 'DELETE', '/jobs/a', 'cancel'],
    ['orders', 'GET', '/jobs/a', 'read'],
  ])('%s may not %s %s: 403 that names the scope', async (name, method, path, scope) => {
    const stage = await openStage({ tokens: TOKENS })
    const answer = await stage.ask(method, path, { headers: bearer(name) })
    expect(answer).toMatchObject({
      status: 403,
      body: { code: 'ERR_FORBIDDEN', detail: expect.stringContaining(`"${scope}"`) },
    })
    expect(answer.headers.get('www-authenticate')).toContain(`error="insufficient_scope", scope="${scope}"`)
  })

  test('waiting for a result is reading it', async () => {
    const stage = await openStage({ tokens: TOKENS })
    const ask = (headers: Record<string, string>) =>
      stage.ask('POST', '/tasks/greet', { ...GREET, headers: { ...bearer('writer'), ...headers } })
    expect((await ask({ prefer: 'wait=1' })).status).toBe(403)
    expect((await ask({})).status).toBe(202)
  })

  test('a limit to tasks holds for enqueueing, reading and cancelling', async () => {
    const stage = await openStage({ tokens: TOKENS })
    const ask = (method: string, path: string, o = {}) => stage.ask(method, path, { ...o, headers: bearer('greeter') })
    expect(await ask('POST', '/tasks/tidy')).toMatchObject({
      status: 403,
      body: { detail: expect.stringContaining('"tidy"') },
    })
    expect(await ask('POST', '/tasks/gone')).toMatchObject({ status: 403 }) // whether it exists is not said
    const other = await stage.client.enqueue(tidy)
    for (const method of ['GET', 'DELETE']) expect((await ask(method, `/jobs/${other.id}`)).status).toBe(404)
    const own = await ask('POST', '/tasks/greet', GREET)
    expect(own.status).toBe(202)
    expect((await ask('GET', `/jobs/${own.body.id}`)).status).toBe(200)
    expect((await ask('DELETE', `/jobs/${own.body.id}`)).status).toBe(200)
    expect((await other.info()).state).toBe('ready')
  })

  test('a limit to events, by name or pattern, holds for all of a batch', async () => {
    const stage = await openStage({ tokens: TOKENS })
    const ask = (json: unknown, type = structured['content-type']) =>
      stage.ask('POST', '/events', { json, headers: { ...bearer('orders'), 'content-type': type } })
    expect((await ask(EVENT)).status).toBe(202)
    expect((await ask({ ...EVENT, id: 'e2', type: 'shop.closed' })).status).toBe(202)
    expect(await ask({ ...EVENT, id: 'e3', type: 'shop.opened' })).toMatchObject({ status: 403 })
    const batch = [
      { ...EVENT, id: 'e4' },
      { ...EVENT, id: 'e5', type: 'user.left' },
    ]
    expect((await ask(batch, 'application/cloudevents-batch+json')).status).toBe(403)
    expect((await ask({ ...EVENT, id: 'e4' })).body.events[0].duplicate).toBe(false)
  })

  test('requests are logged with the name of their token, and never with the secret', async () => {
    const stage = await openStage({ tokens: TOKENS })
    await stage.ask('POST', '/tasks/greet?unique=private', { ...GREET, headers: bearer('all') })
    expect(stage.log.at(-1)).toMatch(/Request\. method=POST path=\/tasks\/greet status=202 ms=\d+ caller=all\n$/)
    expect(stage.log.join('')).not.toMatch(/0123456789abcdef|private|Ada/)
  })
})

describe('pages in a browser', () => {
  test('a page of another origin is refused, one of our own host is not', async () => {
    const stage = await openStage()
    const from = (origin: string) => stage.ask('POST', '/tasks/tidy', { headers: { origin } })
    for (const origin of ['https://evil.example', 'http://localhost:3000', 'null'])
      expect(await from(origin)).toMatchObject({ status: 403, body: { code: 'ERR_FORBIDDEN' } })
    expect(await jobsIn(stage)).toEqual([])
    const own = await from('http://localhost')
    expect([own.status, own.headers.get('access-control-allow-origin')]).toEqual([202, null])
  })

  test('cors lets the named origins in, with preflight, also to errors', async () => {
    const stage = await openStage({ cors: { origins: ['https://app.example'] }, tokens: TOKENS })
    const headers = { origin: 'https://app.example' }
    const preflight = await stage.ask('OPTIONS', '/tasks/greet', {
      headers: {
        ...headers,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,prefer',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,prefer')
    const refused = await stage.ask('POST', '/tasks/greet', { headers })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, 'https://app.example'])
    const other = await stage.ask('POST', '/tasks/greet', { headers: { origin: 'https://evil.example' } })
    expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, null])
  })

  test('without cors a preflight finds nothing', async () => {
    expect((await (await openStage()).ask('OPTIONS', '/tasks/greet')).status).toBe(405)
  })
})

describe('rates', () => {
  test('429 with Retry-After for who asks too often; others go on', async () => {
    const stage = await openStage({ tokens: TOKENS, rateLimit: { perSecond: 0.01, burst: 2 } })
    const ask = (name: string) => stage.ask('GET', '/jobs/a', { headers: bearer(name) })
    expect([(await ask('all')).status, (await ask('all')).status]).toEqual([404, 404])
    const refused = await ask('all')
    expect(refused).toMatchObject({ status: 429, body: { code: 'ERR_RATE_LIMITED' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(90)
    expect((await ask('hashed')).status).toBe(404)
  })

  test('who tries tokens is limited by address, which the server or the option tells', async () => {
    const stage = await openStage({ tokens: TOKENS, rateLimit: { perSecond: 0.01, burst: 1 } })
    const from = async (remoteAddress: string) => {
      const request = new Request('http://localhost/jobs/a', { headers: bearer('unknown') })
      return (await stage.handle(request, { incoming: { socket: { remoteAddress } } })).status
    }
    expect([await from('10.0.0.1'), await from('10.0.0.1'), await from('10.0.0.2')]).toEqual([401, 429, 401])
    const proxied = await openStage({
      rateLimit: { perSecond: 0.01, burst: 1 },
      address: ({ headers }) => headers.get('x-real-ip') ?? undefined,
    })
    const by = async (ip: string) => (await proxied.ask('GET', '/jobs/a', { headers: { 'x-real-ip': ip } })).status
    expect([await by('1'), await by('1'), await by('2')]).toEqual([404, 429, 404])
  })

  test('a bucket fills again, never above its burst, and strangers cannot fill the memory', () => {
    let now = 0
    const take = createRateLimit({ perSecond: 10, burst: 2 }, () => now)
    const refusedAt = (caller: string) => {
      try {
        take(caller)
        return false
      } catch {
        return true
      }
    }
    expect([refusedAt('a'), refusedAt('a'), refusedAt('a')]).toEqual([false, false, true])
    now += 100
    expect([refusedAt('a'), refusedAt('a')]).toEqual([false, true])
    now += 60_000
    expect([refusedAt('a'), refusedAt('a'), refusedAt('a')]).toEqual([false, false, true])
    for (let i = 0; i < 9_999; i++) take(`stranger ${i}`)
    // All places are taken: the others share one, until those are forgotten who have been quiet.
    expect([refusedAt('b'), refusedAt('c'), refusedAt('d')]).toEqual([false, false, true])
    now += 1_000
    expect([refusedAt('b'), refusedAt('b'), refusedAt('c')]).toEqual([false, false, false])
  })
})

describe('sizes', () => {
  const big = 'x'.repeat(2_000)

  test('413 for a body above the limit, announced or not', async () => {
    const stage = await openStage({ bodyLimit: 1_000 })
    const headers = { 'content-type': 'application/json' }
    const announced = await stage.ask('POST', '/tasks/greet', {
      body: big,
      headers: { ...headers, 'content-length': '2000' },
    })
    expect(announced).toMatchObject({
      status: 413,
      body: { code: 'ERR_PAYLOAD_TOO_LARGE', detail: expect.stringContaining('1000 bytes') },
    })
    const stream = new Blob([big]).stream()
    expect((await stage.ask('POST', '/tasks/greet', { body: stream, headers })).status).toBe(413)
    expect(await jobsIn(stage)).toEqual([])
  })

  test('408 for a body that does not come', async () => {
    const stage = await openStage({ timeout: 50 })
    const stream = new ReadableStream({ start() {} })
    expect(await stage.ask('POST', '/tasks/greet', { body: stream })).toMatchObject({
      status: 408,
      body: { code: 'ERR_REQUEST_TIMEOUT' },
    })
  })

  test('503 for more requests at once than maxInFlight', async () => {
    const stage = await openStage({ maxInFlight: 1 })
    let end = () => {}
    const stream = new ReadableStream({
      start(controller) {
        end = () => controller.close()
      },
    })
    const first = stage.ask('POST', '/tasks/tidy', { body: stream })
    const second = await stage.ask('POST', '/tasks/tidy')
    expect(second).toMatchObject({ status: 503, body: { code: 'ERR_OVERLOADED' } })
    expect(second.headers.get('retry-after')).toBe('1')
    expect((await stage.ask('GET', '/healthz')).status).toBe(200)
    end()
    expect((await first).status).toBe(202)
    expect(await jobsIn(stage)).toHaveLength(1)
  })
})

describe('where it is mounted', () => {
  test('basePath: routes and locations lie below it', async () => {
    const stage = await openStage({ basePath: '/api/queue' })
    const { status, headers } = await stage.ask('POST', '/api/queue/tasks/greet', GREET)
    expect([status, headers.get('location')]).toEqual([202, expect.stringMatching(/^\/api\/queue\/jobs\//)])
    expect((await stage.ask('GET', headers.get('location')!)).status).toBe(200)
    expect((await stage.ask('POST', '/tasks/greet', GREET)).status).toBe(404)
  })

  test('a handler of a task that fails tells nothing of our inside', async () => {
    const leaky = {
      ...greet,
      '~spec': {
        ...greet['~spec']!,
        input: {
          '~standard': {
            version: 1 as const,
            vendor: 'x',
            validate: () => {
              throw new Error('password in /etc/secret')
            },
          },
        },
      },
    }
    const stage = await openStage({ tasks: [leaky] })
    const { status, body } = await stage.ask('POST', '/tasks/greet', GREET)
    expect({ status, body }).toEqual({
      status: 500,
      body: {
        type: 'about:blank',
        title: 'Internal Server Error',
        status: 500,
        detail: 'Something went wrong here. The log of the gateway says what.',
        code: 'ERR_INTERNAL',
      },
    })
    expect(stage.log.join('')).toMatch(/error A request failed\. error="password in \/etc\/secret"/)
  })
})

test('neither does one that throws what is no error', async () => {
  const validate = () => {
    throw 'secret text' // oxlint-disable-line typescript/only-throw-error -- what others' code may do
  }
  const input = { '~standard': { version: 1 as const, vendor: 'x', validate } }
  const stage = await openStage({ tasks: [{ ...greet, '~spec': { ...greet['~spec']!, input } }] })
  const { status, body } = await stage.ask('POST', '/tasks/greet', GREET)
  expect({ status, code: body.code }).toEqual({ status: 500, code: 'ERR_INTERNAL' })
  expect(JSON.stringify(body)).not.toContain('secret')
})

const token = (part: object) =>
  ({ tokens: [{ name: 'a', token: secret('a'), scopes: ['read'], ...part }] }) as GatewayOptions
test.each<[string, object, RegExp]>([
  ['an unknown option', { token: 'x' }, /gateway\(\): there is no option "token"/],
  ['an empty list of tokens', { tokens: [] }, /tokens: give a list with at least one token/],
  ['a short token', token({ token: 'short' }), /tokens\[0\]\.token: use at least 16 characters/],
  ['token and hash', token({ sha256: 'a'.repeat(64) }), /not both/],
  ['no hash', token({ token: undefined, sha256: 'abc' }), /sha256: this is no hash/],
  ['no scope', token({ scopes: [] }), /tokens\[0\]\.scopes: the list is empty/],
  [
    'an unknown scope',
    token({ scopes: ['write'] }),
    /there is no "write"\. Choose from publish, enqueue, read, cancel/,
  ],
  ['a wrong task', token({ tasks: ['a b'] }), /tokens\[0\]\.tasks: the task name "a b"/],
  ['a wrong pattern', token({ events: ['a.#.b'] }), /The event pattern "a\.#\.b"/],
  ['a name twice', { tokens: [token({}).tokens![0], token({}).tokens![0]] }, /the name "a" is there twice/],
  ['a path without slash', { basePath: 'queue' }, /basePath: "queue" is no path/],
  ['a body limit of text', { bodyLimit: '1mb' }, /bodyLimit: "1mb" is no whole number/],
  ['no time', { timeout: 0 }, /timeout: 0 is not between/],
  ['no duration', { maxWait: 'long' }, /maxWait: "long" is no duration/],
  ['no requests', { maxInFlight: 0 }, /maxInFlight: 0 is no whole number/],
  ['a rate of 0', { rateLimit: { perSecond: 0 } }, /rateLimit\.perSecond: 0 is no number above 0/],
  ['a burst below 1', { rateLimit: { perSecond: 1, burst: 0.5 } }, /rateLimit\.burst: 0\.5/],
  ['cors: true', { cors: true }, /cors: true is no setting/],
  ['no origin', { cors: { origins: ['https://a.example/'] } }, /"https:\/\/a\.example\/" is no origin/],
  ['a wrong address', { address: '::1' }, /address: string is no function/],
  ['no webhook', { webhooks: { a: {} } }, /webhooks\.a: this is no webhook source/],
  ['a wrong name of a webhook', { webhooks: { 'a/b': {} } }, /the name "a\/b" is not allowed/],
  ['no task', { tasks: ['greet'] }, /A task made by defineTask\(\) is expected/],
  ['no list', { tasks: { greet } }, /tasks: .* is no list of tasks/],
  ['a task twice', { tasks: [greet, greet] }, /tasks: "greet" is there twice/],
  ['no event', { events: [greet] }, /An event made by defineEvent\(\) is expected/],
  ['neither accept nor refuse', { unknownEvents: true }, /unknownEvents: true is neither/],
])('%s is refused at once', async (_what, options, text) => {
  await expect(openStage(options)).rejects.toThrow(text)
})

test('a client that is none', async () => {
  expect(() => gateway({} as never)).toThrow(/a client made by createClient\(\) or connect\(\) is expected/)
})

test('a closed client: 503, not ready', async () => {
  const client = await connect('memory:')
  const { gateway: shipped } = await import('millrace/http')
  const handle = shipped(client, { tasks: [greet] })
  await client.close()
  expect(await askOf(handle, 'POST', '/tasks/greet', GREET)).toMatchObject({
    status: 503,
    body: { code: 'ERR_STOPPING' },
  })
  expect((await askOf(handle, 'GET', '/readyz')).status).toBe(503)
  expect((await askOf(handle, 'GET', '/healthz')).status).toBe(200)
})
