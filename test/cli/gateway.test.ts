// millrace gateway: where it listens and for whom, what it reads, how it stops, and what it refuses to start with.
import { createHash, createHmac } from 'node:crypto'
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, openPlace, type Place, type RunOptions } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
const SECRET = 'secret-0123456789abcdef'
let place: Place
beforeEach(() => (place = openPlace()))
afterEach(() => place[Symbol.asyncDispose]())

interface Announced {
  readonly url: string
  readonly [member: string]: unknown
}

/** A gateway on a free port, and where that is. */
async function start(args: readonly string[] = [], o: RunOptions = {}) {
  const running = place.start(['gateway', '--port', '0', '--json', ...args], { ...o, env: { ...env, ...o.env } })
  let printed = ''
  running.child.stdout!.on('data', (text: string) => (printed += text))
  await running.until(/"url":.*\n/)
  return {
    announced: JSON.parse(printed.split('\n', 1)[0]!) as Announced,
    async stop() {
      running.child.kill('SIGTERM')
      return running.end
    },
  }
}

const post = (url: string, body: string, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })

test('it takes jobs, logs them when asked to, and stops with 0 on a signal', async () => {
  await place.run(['setup', fixture('worker.ts')], { env })
  const { announced, stop } = await start(['--verbose'])
  expect(announced).toEqual({
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    host: '127.0.0.1',
    port: expect.any(Number),
    database: 'sqlite:jobs.db',
    tokens: 0,
    webhooks: [],
    pid: expect.any(Number),
  })
  const response = await post(`${announced.url}/tasks/greet`, '{"name":"Ada"}')
  expect(response.status).toBe(202)
  const { id } = (await response.json()) as { id: string }
  const { code, stderr } = await stop()
  expect(code).toBe(0)
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 'debug', method: 'POST', path: '/tasks/greet', status: 202 }),
  )
  expect(lines.at(-1)).toMatchObject({ message: 'Gateway stopped.', requests: 1 })
  const { stdout } = await place.run(['jobs', 'list', '--json'], { env })
  expect(JSON.parse(stdout)).toMatchObject({ id, name: 'greet' })
})

test('a line for people says where, on which database, and for whom', async () => {
  const running = place.start(['gateway', '--port', '0'], { env })
  await running.until(
    /Listening on http:\/\/127\.0\.0\.1:\d+ for sqlite:jobs\.db; anybody on this machine may use it\.\n/,
  )
  running.child.kill('SIGINT')
  expect((await running.end).code).toBe(0)
})

test('--file: the code of the tasks makes their unique keys; events of others are taken', async () => {
  const { announced, stop } = await start(['--file', fixture('worker.ts'), '--cors', '*'])
  const order = () => post(`${announced.url}/tasks/order`, '{"key":"a"}').then((response) => response.json())
  expect([await order(), await order()]).toMatchObject([{ duplicate: false }, { duplicate: true }])
  const event = '{"specversion":"1.0","id":"1","source":"/a","type":"a.b"}'
  const headers = { 'content-type': 'application/cloudevents+json', origin: 'https://app.example' }
  const published = await post(`${announced.url}/events`, event, headers)
  expect([published.status, published.headers.get('access-control-allow-origin')]).toEqual([202, '*'])
  expect((await stop()).code).toBe(0)
})

test('tokens of flags, a file and the environment; webhooks of a file', async () => {
  const hash = createHash('sha256').update(`${SECRET}-b`).digest('hex')
  place.write('tokens.json', JSON.stringify([{ name: 'reader', sha256: hash, scopes: ['read'] }]))
  place.write('webhooks.json', JSON.stringify({ hub: { scheme: 'github', secretEnv: 'HUB', event: 'code.pushed' } }))
  const { announced, stop } = await start(
    ['--token', `${SECRET}-a`, '--tokens-file', 'tokens.json', '--webhooks-file', 'webhooks.json', '--host', '0.0.0.0'],
    { env: { MILLRACE_GATEWAY_TOKENS: `${SECRET}-c, ${SECRET}-d`, HUB: 'old-secret,new-secret' } },
  )
  expect(announced).toMatchObject({ tokens: 4, webhooks: ['hub'], host: '0.0.0.0' })
  const url = announced.url.replace('0.0.0.0', '127.0.0.1')
  const as = (token: string) =>
    fetch(`${url}/jobs/gone`, { method: 'DELETE', headers: { authorization: `Bearer ${SECRET}${token}` } })
  expect(await Promise.all(['-a', '-b', '-c', '-d', '-e'].map(async (token) => (await as(token)).status))).toEqual([
    404, 403, 404, 404, 401,
  ])

  const signature = `sha256=${createHmac('sha256', 'new-secret').update('{}').digest('hex')}`
  const headers = { 'x-hub-signature-256': signature, 'x-github-delivery': '1', 'x-github-event': 'push' }
  expect((await post(`${url}/webhooks/hub`, '{}', headers)).status).toBe(202)
  expect((await post(`${url}/webhooks/hub`, '{ }', headers)).status).toBe(401)
  const { code, stderr } = await stop()
  expect(code).toBe(0)
  expect(stderr).toMatch(/"badSignatures":\{"hub":1\}/)
  expect(stderr).not.toContain(SECRET)
})

test('without tokens it answers to names of this machine only', async () => {
  const { announced, stop } = await start()
  const { port } = announced as unknown as { port: number }
  const { request } = await import('node:http')
  const statusFor = (host: string) =>
    new Promise<number>((resolve, reject) => {
      request({ port, path: '/healthz', headers: { host } }, (response) => {
        response.resume()
        resolve(response.statusCode!)
      })
        .on('error', reject)
        .end()
    })
  expect([await statusFor('evil.example'), await statusFor(`localhost:${port}`), await statusFor('[::1]')]).toEqual([
    421, 200, 200,
  ])
  expect((await stop()).code).toBe(0)
})

describe('it does not start', () => {
  test('on an address that others reach, without tokens: exit code 2', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.0.1', 'example.com'])
      expectError(await place.run(['gateway', '--host', host], { env }), {
        code: 2,
        text: /can be reached from other machines, so tokens are needed\. Give --tokens-file FILE, or set MILLRACE_GATEWAY_TOKENS/,
      })
  })

  test('on a port that is taken: exit code 1', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    expectError(await place.run(['gateway', '--port', String(port)], { env }), {
      code: 1,
      text: `127.0.0.1:${port} is taken by another program. Give --port another number`,
    })
    await new Promise((resolve) => other.close(resolve))
  })

  test.each<[string[], RegExp]>([
    [['--port', '65536'], /--port: "65536" is no whole number from 0 to 65535/],
    [['--token', 'short'], /tokens\[0\]\.token: use at least 16 characters/],
    [['--tokens-file', 'gone.json'], /--tokens-file: gone\.json cannot be read/],
    [['--tokens-file', 'text.json'], /--tokens-file text\.json is no JSON\./],
    [['--tokens-file', 'object.json'], /--tokens-file object\.json: a JSON list of tokens is expected/],
    [['--tokens-file', 'empty.json'], /tokens: give a list with at least one token/],
    [['--webhooks-file', 'empty.json'], /--webhooks-file empty\.json: a JSON object is expected/],
    [['--webhooks-file', 'hooks-a.json'], /"a": "scheme" is one of github, stripe, slack, standard/],
    [['--webhooks-file', 'hooks-b.json'], /"b": give "secret", or "secretEnv"/],
    [['--webhooks-file', 'hooks-c.json'], /"c": the environment variable NOT_THERE is not set/],
    [['--webhooks-file', 'hooks-d.json'], /"d": there is no member "secrets"\. The members are: scheme/],
    [['--cors', 'app.example'], /"app\.example" is no origin/],
    [['--rate-limit', 'many'], /--rate-limit: "many" is no whole number/],
    [['--file', 'gone.ts'], /gone\.ts: there is no such file/],
  ])('%j: exit code 2', async (args, text) => {
    place.write('text.json', SECRET)
    place.write('object.json', '{}')
    place.write('empty.json', '[]')
    place.write('hooks-a.json', '{"a":{"scheme":"gitlab","secret":"0123456789"}}')
    place.write('hooks-b.json', '{"b":{"scheme":"github"}}')
    place.write('hooks-c.json', '{"c":{"scheme":"github","secretEnv":"NOT_THERE"}}')
    place.write('hooks-d.json', '{"d":{"scheme":"github","secrets":[]}}')
    const outcome = await place.run(['gateway', '--port', '0', ...args], { env })
    expectError(outcome, { code: 2, text })
    expect(outcome.stderr).not.toContain(SECRET)
  })
})
