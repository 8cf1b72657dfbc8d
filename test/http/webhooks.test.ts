// POST /webhooks/{name}: signatures by the formulas of their senders, replays, rotation, and what is not genuine.
import { createHmac } from 'node:crypto'
import { on } from 'millrace'
import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { partsOf } from '../../src/connect.js'
import { github, slack, standardWebhooks, stripe, type WebhookSource } from '../../src/http/index.js'
import { openStage, type Stage } from './support.js'

const SECRET = 'shared-0123456789'
const STANDARD_SECRET = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`

const hmac = (secret: string, text: string) => createHmac('sha256', secret).update(text).digest('hex')
const seconds = (offset = 0) => String(Math.floor(Date.now() / 1_000) + offset)

interface Signed {
  readonly body: string
  readonly headers: Record<string, string>
}

/** How each sender signs, by its documentation. */
const SENDERS = {
  standard: {
    source: standardWebhooks({ secret: STANDARD_SECRET }),
    event: 'standard.invoice.paid',
    sign(o: { at?: number; id?: string } = {}): Signed {
      const body = JSON.stringify({ type: 'invoice.paid', data: { n: 1, text: 'ü' } })
      const at = new Date(Date.now() + (o.at ?? 0) * 1_000)
      const id = o.id ?? 'msg_1'
      const signature = new Webhook(STANDARD_SECRET).sign(id, at, body)
      const timestamp = String(Math.floor(at.getTime() / 1_000))
      return { body, headers: { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } }
    },
  },
  github: {
    source: github({ secret: SECRET }),
    event: 'github.pull_request',
    sign(o: { id?: string } = {}): Signed {
      const body = JSON.stringify({ action: 'opened', number: 1 })
      return {
        body,
        headers: {
          'content-type': 'application/json',
          'x-hub-signature-256': `sha256=${hmac(SECRET, body)}`,
          'x-github-event': 'pull_request',
          'x-github-delivery': o.id ?? '72d3162e-cc78-11e3-81ab-4c9367dc0958',
        },
      }
    },
  },
  stripe: {
    source: stripe({ secret: SECRET }),
    event: 'stripe.invoice.paid',
    sign(o: { at?: number; id?: string } = {}): Signed {
      const body = JSON.stringify({ id: o.id ?? 'evt_1', type: 'invoice.paid', data: {} }, null, 2)
      const t = seconds(o.at)
      return { body, headers: { 'stripe-signature': `t=${t},v1=${hmac(SECRET, `${t}.${body}`)},v0=ignored` } }
    },
  },
  slack: {
    source: slack({ secret: SECRET }),
    event: 'slack.app_mention',
    sign(o: { at?: number; id?: string } = {}): Signed {
      const body = JSON.stringify({ type: 'event_callback', event_id: o.id ?? 'Ev1', event: { type: 'app_mention' } })
      const t = seconds(o.at)
      return {
        body,
        headers: { 'x-slack-request-timestamp': t, 'x-slack-signature': `v0=${hmac(SECRET, `v0:${t}:${body}`)}` },
      }
    },
  },
}
type Name = keyof typeof SENDERS
const NAMES = Object.keys(SENDERS) as Name[]

async function open(more: Record<string, WebhookSource> = {}): Promise<Stage & { names(): Promise<string[]> }> {
  const sources = Object.fromEntries(NAMES.map((name) => [name, SENDERS[name].source]))
  const stage = await openStage({ webhooks: { ...sources, ...more } })
  const { eventLog } = await partsOf(stage.client).session.open()
  return { ...stage, names: async () => (await eventLog.list({ limit: 100 })).map(({ name }) => name) }
}

describe.each(NAMES)('%s', (name) => {
  const { sign, event } = SENDERS[name]

  test('a genuine request is an event: 202; again it is 200 and nothing runs twice', async () => {
    const stage = await open()
    const got: unknown[] = []
    await stage.client.work({ handlers: [on(event, 'see', ({ payload }) => void got.push(payload))] })
    const signed = sign()
    const first = await stage.ask('POST', `/webhooks/${name}`, signed)
    expect(first).toMatchObject({ status: 202, body: { duplicate: false } })
    await stage.ask('GET', `/jobs/${first.body.id}/see`, { headers: { prefer: 'wait=10' } })
    const again = await stage.ask('POST', `/webhooks/${name}`, sign())
    expect(again).toMatchObject({ status: 200, body: { id: first.body.id, duplicate: true } })
    expect(await stage.names()).toEqual([event])
    expect(got).toEqual([JSON.parse(signed.body)])
  })

  test('a changed body, another secret, no signature: 401, counted and logged, and nothing is kept', async () => {
    const stage = await open()
    const signed = sign()
    const forged = Object.fromEntries(
      Object.entries(signed.headers).map(([key, value]) => [
        key,
        /signature/.test(key) ? value.replace(/[0-9a-f]{64}/, hmac('another secret', signed.body)) : value,
      ]),
    )
    if (name === 'standard') forged['webhook-signature'] = 'v1,AAAA v2,BBBB'
    for (const asked of [
      { ...signed, body: signed.body.replace('1', '2') },
      { ...signed, headers: forged },
      { body: signed.body },
    ]) {
      const answer = await stage.ask('POST', `/webhooks/${name}`, asked)
      expect(answer).toMatchObject({ status: 401, body: { code: 'ERR_BAD_SIGNATURE' } })
      expect(answer.headers.get('www-authenticate')).not.toBeNull()
    }
    expect(stage.handle.stats().badSignatures).toEqual({ [name]: 3 })
    expect(stage.log.join('')).toMatch(/warn {2}A webhook was refused: its signature does not hold\. .*count=3\n/)
    expect(await stage.names()).toEqual([])
  })

  test.skipIf(name === 'github')('a timestamp more than 5 minutes away, signed well: 401', async () => {
    const stage = await open()
    for (const at of [-310, 310])
      expect((await stage.ask('POST', `/webhooks/${name}`, SENDERS[name].sign({ at }))).status).toBe(401)
    for (const at of [-290, 290])
      expect((await stage.ask('POST', `/webhooks/${name}`, SENDERS[name].sign({ at, id: `at${at}` }))).status).toBe(202)
  })
})

test('several secrets while one replaces the other', async () => {
  const stage = await open({
    both: stripe({ secret: ['the-next-one', SECRET] }),
    next: stripe({ secret: ['the-next-one'] }),
  })
  expect((await stage.ask('POST', '/webhooks/both', SENDERS.stripe.sign())).status).toBe(202)
  expect((await stage.ask('POST', '/webhooks/next', SENDERS.stripe.sign())).status).toBe(401)
})

test('a list of signatures, one of which fits', async () => {
  const stage = await open()
  const { body, headers } = SENDERS.standard.sign()
  const several = { ...headers, 'webhook-signature': `v1a,AAAA v1,AAAA ${headers['webhook-signature']}` }
  expect((await stage.ask('POST', '/webhooks/standard', { body, headers: several })).status).toBe(202)
})

test('Slack’s challenge is answered, but only when it is signed', async () => {
  const stage = await open()
  const body = JSON.stringify({ type: 'url_verification', challenge: 'abc' })
  const t = seconds()
  const headers = { 'x-slack-request-timestamp': t, 'x-slack-signature': `v0=${hmac(SECRET, `v0:${t}:${body}`)}` }
  expect(await stage.ask('POST', '/webhooks/slack', { body, headers })).toMatchObject({
    status: 200,
    body: { challenge: 'abc' },
  })
  expect((await stage.ask('POST', '/webhooks/slack', { body })).status).toBe(401)
})

test('GitHub’s form', async () => {
  const stage = await open()
  const body = new URLSearchParams({ payload: '{"zen":"ü"}' }).toString()
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'x-hub-signature-256': `sha256=${hmac(SECRET, body)}`,
    'x-github-event': 'ping',
    'x-github-delivery': 'd1',
  }
  expect((await stage.ask('POST', '/webhooks/github', { body, headers })).status).toBe(202)
  expect(await stage.names()).toEqual(['github.ping'])
})

test('the name of the event: given, made by a function, or none', async () => {
  const stage = await open({
    given: stripe({ secret: SECRET, event: 'billing.changed' }),
    made: stripe({
      secret: SECRET,
      event: ({ type, payload }) => ((payload as { id: string }).id === 'evt_2' ? undefined : `pay.${type}`),
    }),
  })
  await stage.ask('POST', '/webhooks/given', SENDERS.stripe.sign())
  await stage.ask('POST', '/webhooks/made', SENDERS.stripe.sign())
  expect(await stage.ask('POST', '/webhooks/made', SENDERS.stripe.sign({ id: 'evt_2' }))).toMatchObject({
    status: 200,
    body: { ignored: true },
  })
  expect(await stage.names()).toEqual(['billing.changed', 'pay.invoice.paid'])
})

test('a name that an event cannot have is made one that it can', async () => {
  const stage = await open()
  const body = JSON.stringify({ type: 'user created/by.é..' })
  const id = 'msg_2'
  const signature = new Webhook(STANDARD_SECRET).sign(id, new Date(), body)
  const headers = { 'webhook-id': id, 'webhook-timestamp': seconds(), 'webhook-signature': signature }
  expect((await stage.ask('POST', '/webhooks/standard', { body, headers })).status).toBe(202)
  expect(await stage.names()).toEqual(['standard.user_created_by._._._'])
})

test('signed, but nothing that can be an event: 400', async () => {
  const stage = await open()
  const body = '[1]'
  const headers = {
    'x-hub-signature-256': `sha256=${hmac(SECRET, body)}`,
    'x-github-event': 'push',
    'x-github-delivery': 'd',
  }
  expect(await stage.ask('POST', '/webhooks/github', { body, headers })).toMatchObject({ status: 400 })
  expect(await stage.ask('POST', '/webhooks/gone', { body })).toMatchObject({ status: 404 })
  expect(await stage.ask('GET', '/webhooks/github')).toMatchObject({ status: 405 })
})

test('webhooks need no token where others do', async () => {
  const webhooks = { stripe: SENDERS.stripe.source }
  const tokens = [{ name: 'a', token: '0123456789abcdef', scopes: ['read'] as const }]
  const stage = await openStage({ webhooks, tokens })
  expect((await stage.ask('POST', '/webhooks/stripe', SENDERS.stripe.sign())).status).toBe(202)
})

test.each<[string, () => unknown, RegExp]>([
  ['no secret', () => github({} as never), /github\(\)\.secret: give the sender's secret/],
  ['a short one', () => stripe({ secret: 'short' }), /stripe\(\)\.secret/],
  ['an empty list', () => slack({ secret: [] }), /slack\(\)\.secret/],
  [
    'no base64',
    () => standardWebhooks({ secret: 'whsec_!!!!!!!!!!!!!!' }),
    /standardWebhooks\(\)\.secret: it is no base64/,
  ],
  ['a wrong name', () => github({ secret: SECRET, event: 'git hub' }), /The event name "git hub" is not allowed/],
  ['an unknown option', () => github({ secret: SECRET, secrets: [] } as never), /there is no option "secrets"/],
])('%s is refused at once', (_what, make, text) => {
  expect(make).toThrow(text)
})
