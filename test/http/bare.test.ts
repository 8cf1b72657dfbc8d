// The gateway on a broker without a store: it enqueues, publishes and waits for replies, and refuses what takes memory.
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type Client } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { on } from '../../src/events/define.js'
import { gateway, type GatewayOptions } from '../../src/http/index.js'
import { handle } from '../../src/worker/define.js'
import { bareMemory } from '../support/bare.js'
import { askOf, greet, shopClosed } from './support.js'

const failing = defineTask('failing', { retry: false })
const unread = defineTask('unread', { queue: 'unread' })
const quiet = () => {}
let client: Client
afterEach(() => client.close({ grace: 0 }))

async function open(o: GatewayOptions = { tasks: [greet, failing, unread] }) {
  client = await connect(bareMemory(), { log: { debug: quiet, info: quiet, warn: quiet, error: quiet } })
  const handler = gateway(client, o)
  return (method: string, path: string, asked: Parameters<typeof askOf>[3] = {}) => askOf(handler, method, path, asked)
}

describe('the gateway on a broker without a store', () => {
  it('enqueues, and waits for a result that comes as a reply', async () => {
    const ask = await open()
    const json = { name: 'Ada' }
    expect(await ask('POST', '/tasks/greet', { json })).toMatchObject({ status: 202, body: { duplicate: false } })
    await client.work({
      handlers: [
        handle(greet, ({ name }) => ({ text: `Hello, ${name}!` })),
        handle(failing, () => {
          throw new RangeError('too far')
        }),
      ],
    })
    const headers = { prefer: 'wait=10' }
    expect(await ask('POST', '/tasks/greet', { json, headers })).toMatchObject({
      status: 200,
      body: { task: 'greet', state: 'completed', result: { text: 'Hello, Ada!' } },
    })
    expect(await ask('POST', '/tasks/failing', { headers })).toMatchObject({
      status: 200,
      body: { state: 'dead', reason: 'failed', error: { name: 'RangeError', message: 'too far' } },
    })
    const late = await ask('POST', '/tasks/unread', { headers: { prefer: 'wait=1' } })
    expect(late.status).toBe(202)
    expect(late.headers.get('preference-applied')).toBe('wait=1')
    expect(late.body.state).toBeUndefined()
  })

  it('publishes', async () => {
    const ask = await open()
    const got = new Promise<string>((resolve) => {
      void client.work({ handlers: [on(shopClosed, 'all', (e) => resolve(e.id))] }).then(() =>
        ask('POST', '/events', {
          headers: { 'content-type': 'application/cloudevents+json' },
          body: JSON.stringify({ specversion: '1.0', id: 'e1', source: '/shop', type: 'shop.closed' }),
        }).then(({ status }) => expect(status).toBe(202)),
      )
    })
    expect(await got).toBe('e1')
  })

  it('answers 501 and what helps to whatever takes memory', async () => {
    const ask = await open()
    const problems = [
      await ask('POST', '/tasks/greet', { json: { name: 'Ada' }, headers: { 'idempotency-key': 'k' } }),
      await ask('POST', '/tasks/greet?unique=k', { json: { name: 'Ada' } }),
      await ask('GET', '/jobs/mine'),
      await ask('DELETE', '/jobs/mine'),
    ]
    for (const { status, body } of problems) {
      expect([status, body.code]).toEqual([501, 'ERR_UNSUPPORTED'])
      expect(body.detail).toContain('add a store')
    }
    await client.close()
    const without = await open({})
    const { status, body } = await without('POST', '/tasks/greet', { json: { name: 'Ada' } })
    expect([status, body.code]).toEqual([501, 'ERR_UNSUPPORTED'])
  })
})
