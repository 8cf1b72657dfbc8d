// POST /events: CloudEvents in every mode, what is wrong with others, and all of a batch or none.
import { serve, type ServerType } from '@hono/node-server'
import { CloudEvent, emitterFor, httpTransport, Mode } from 'cloudevents'
import { handle, on } from 'millrace'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { decode } from '../../src/core/codec.js'
import { storedId } from '../../src/client/publish.js'
import { partsOf } from '../../src/connect.js'
import { openStage, orderPaid, shopClosed, greet, type Stage } from './support.js'

const STRUCTURED = { 'content-type': 'application/cloudevents+json' }
const BATCH = { 'content-type': 'application/cloudevents-batch+json' }
const EVENT = { specversion: '1.0', id: 'e1', source: '/shop', type: 'order.paid', data: { orderId: 'A1', cents: 500 } }

/** The events of the log, as CloudEvents. */
async function logged({ client }: Stage): Promise<any[]> {
  const { eventLog } = await partsOf(client).session.open()
  return (await eventLog.list({ limit: 1_000 })).map(({ body, headers }) => ({
    ...(decode(body, 'it') as object),
    headers,
  }))
}

const structured = (stage: Stage, json: unknown, headers = {}) =>
  stage.ask('POST', '/events', { json, headers: { ...STRUCTURED, ...headers } })

describe('structured', () => {
  test('202 with its id in the store, and every attribute is kept', async () => {
    const stage = await openStage()
    const event = {
      ...EVENT,
      subject: 'A1',
      time: '2026-01-31T12:00:00.5+02:00',
      dataschema: 'https://a.example/s',
      tenant: 'x',
      retries: 3,
      test: true,
    }
    const { status, body } = await structured(stage, event)
    expect({ status, body }).toEqual({
      status: 202,
      body: { events: [{ id: expect.stringMatching(/^e1~[0-9a-f]{12}$/), duplicate: false }] },
    })
    expect(await logged(stage)).toEqual([{ ...event, headers: {} }])
  })

  test('time is set where it is missing, and null stands for what is not there', async () => {
    const stage = await openStage()
    expect((await structured(stage, { ...EVENT, subject: null, time: null })).status).toBe(202)
    const [event] = await logged(stage)
    expect(Math.abs(Date.parse(event.time) - Date.now())).toBeLessThan(60_000)
    expect(event).not.toHaveProperty('subject')
  })

  test('a trace in the request becomes the extension and the headers of every copy; the event’s own comes first', async () => {
    const stage = await openStage()
    const [mine, its] = ['1', '2'].map((n) => `00-0af7651916cd43dd8448eb211c80319${n}-b7ad6b7169203331-01`) as [
      string,
      string,
    ]
    await structured(stage, EVENT, { traceparent: mine, tracestate: 'a=1' })
    await structured(stage, { ...EVENT, id: 'e2', traceparent: its }, { traceparent: mine })
    await structured(stage, { ...EVENT, id: 'e3' }, { traceparent: 'broken' })
    expect(await logged(stage)).toMatchObject([
      { traceparent: mine, tracestate: 'a=1', headers: { traceparent: mine, tracestate: 'a=1' } },
      { traceparent: its, headers: { traceparent: its } },
      { headers: {} },
    ])
  })

  test('the same source and id again is the same event', async () => {
    const stage = await openStage()
    const got: string[] = []
    await stage.client.work({ handlers: [on(orderPaid, 'mail', ({ id }) => void got.push(id))] })
    const first = await structured(stage, EVENT)
    expect(await structured(stage, EVENT)).toMatchObject({
      status: 202,
      body: { events: [{ ...first.body.events[0], duplicate: true }] },
    })
    const other = await structured(stage, { ...EVENT, source: '/other' })
    expect(other.body.events[0]).toMatchObject({ duplicate: false })
    for (const { body } of [first, other])
      await stage.ask('GET', `/jobs/${body.events[0].id}/mail`, { headers: { prefer: 'wait=10' } })
    expect(got).toEqual(['e1', 'e1'])
  })

  test('bytes in data_base64 arrive as bytes', async () => {
    const stage = await openStage()
    const got: unknown[] = []
    await stage.client.work({ handlers: [on('file.#', 'keep', ({ payload }) => void got.push(payload))] })
    const { body } = await structured(stage, { ...EVENT, data: undefined, type: 'file.come', data_base64: 'AAH/' })
    await stage.ask('GET', `/jobs/${body.events[0].id}/keep`, { headers: { prefer: 'wait=10' } })
    expect(got).toEqual([Uint8Array.from([0, 1, 255])])
  })
})

describe('binary', () => {
  const HEADERS = { 'ce-specversion': '1.0', 'ce-id': 'e1', 'ce-source': '/shop', 'ce-type': 'order.paid' }
  const binary = (stage: Stage, body: RequestInit['body'], headers: Record<string, string>) =>
    stage.ask('POST', '/events', { body, headers: { ...HEADERS, ...headers } })

  test('attributes from headers, decoded; JSON data', async () => {
    const stage = await openStage()
    const { status } = await binary(stage, '{"orderId":"A1","cents":500}', {
      'content-type': 'application/json; charset=utf-8',
      'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80',
      'ce-tenant': '"quoted \\"name\\""',
    })
    expect(status).toBe(202)
    expect(await logged(stage)).toMatchObject([
      {
        subject: 'Euro € 😀',
        tenant: 'quoted "name"',
        datacontenttype: 'application/json; charset=utf-8',
        data: EVENT.data,
      },
    ])
  })

  test('text stays text, other bytes are kept as base64, no body is no data', async () => {
    const stage = await openStage()
    await binary(stage, 'grüße', { 'ce-type': 'note.text', 'content-type': 'text/plain' })
    await binary(stage, Uint8Array.from([0, 255]), {
      'ce-id': 'e2',
      'ce-type': 'note.bytes',
      'content-type': 'image/png',
    })
    await binary(stage, Uint8Array.from([0xff]), {
      'ce-id': 'e3',
      'ce-type': 'note.latin',
      'content-type': 'text/plain',
    })
    await binary(stage, undefined, { 'ce-id': 'e4', 'ce-type': 'note.none' })
    const [text, bytes, latin, none] = await logged(stage)
    expect([text.data, bytes.data_base64, latin.data_base64]).toEqual(['grüße', 'AP8=', '/w=='])
    expect(none).not.toHaveProperty('data')
  })

  test.each<[string, Record<string, string>, string, RegExp]>([
    ['no id', { 'ce-id': '' }, '{}', /"id" is no text, or empty/],
    ['another version', { 'ce-specversion': '0.3' }, '{}', /specversion "0\.3"\. Only "1\.0"/],
    ['a bad escape', { 'ce-subject': '%zz' }, '{}', /header "ce-subject" has a "%"/],
    ['half of an encoded character', { 'ce-subject': '%e2%82' }, '{}', /header "ce-subject"/],
    ['ce-datacontenttype', { 'ce-datacontenttype': 'text/plain' }, '{}', /ce-datacontenttype/],
    ['no JSON', {}, '{', /no JSON/],
    ['a name with a dash', { 'ce-my-tenant': 'x' }, '{}', /attribute "my-tenant"/],
    ['a bad time', { 'ce-time': 'yesterday' }, '{}', /"time" "yesterday" is no RFC 3339/],
  ])('%s: 400', async (_what, headers, body, detail) => {
    const stage = await openStage()
    const answer = await binary(stage, body, { 'content-type': 'application/json', ...headers })
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringMatching(detail) } })
    expect(await logged(stage)).toEqual([])
  })
})

describe('batched', () => {
  const batch = (stage: Stage, json: unknown) => stage.ask('POST', '/events', { json, headers: BATCH })

  test('all of them, in order, and one that comes twice is one', async () => {
    const stage = await openStage()
    const { status, body } = await batch(stage, [EVENT, { ...EVENT, id: 'e2' }, EVENT])
    expect({ status, duplicates: body.events.map((one: any) => one.duplicate) }).toEqual({
      status: 202,
      duplicates: [false, false, true],
    })
    expect((await logged(stage)).map(({ id }) => id)).toEqual(['e1', 'e2'])
    expect(await batch(stage, [])).toMatchObject({ status: 202, body: { events: [] } })
  })

  test('one that is malformed: none, and the answer says which', async () => {
    const stage = await openStage({ events: [orderPaid] })
    const bad = await batch(stage, [EVENT, { ...EVENT, id: undefined }])
    expect(bad).toMatchObject({ status: 400, body: { code: 'ERR_BAD_EVENT', detail: 'Event 2 of 2 has no "id".' } })
    const refused = await batch(stage, [EVENT, { ...EVENT, id: 'e2', data: { orderId: 'A2', cents: 'many' } }])
    expect(refused).toMatchObject({ status: 422, body: { issues: [{ path: '$[1].data.cents' }] } })
    expect(await logged(stage)).toEqual([])
  })

  test('what is no list', async () => {
    expect(await batch(await openStage(), EVENT)).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/A batch is a JSON list/) },
    })
  })
})

describe('what is refused', () => {
  test.each<[string, unknown, RegExp]>([
    ['no object', 'text', /The event is no JSON object/],
    ['a list', [EVENT], /The event is no JSON object/],
    ['no specversion', { ...EVENT, specversion: undefined }, /has no "specversion"/],
    ['a number as id', { ...EVENT, id: 5 }, /"id" is no text/],
    ['an empty source', { ...EVENT, source: '' }, /"source" is no text, or empty/],
    ['a source with a space', { ...EVENT, source: 'my shop' }, /no URI/],
    ['a control character', { ...EVENT, id: 'a\u0000' }, /"id" has a control character/],
    ['a long id', { ...EVENT, id: 'x'.repeat(2_049) }, /more than 2048 characters/],
    ['a month that is none', { ...EVENT, time: '2026-13-01T00:00:00Z' }, /"time"/],
    ['an object as extension', { ...EVENT, tenant: {} }, /"tenant" is no text, number or boolean/],
    ['capital letters', { ...EVENT, myTenant: 'x' }, /attribute "myTenant"/],
    ['data twice', { ...EVENT, data_base64: '' }, /both "data" and "data_base64"/],
    ['no base64', { ...EVENT, data: undefined, data_base64: 'a' }, /no base64/],
  ])('structured, %s: 400', async (_what, event, detail) => {
    const stage = await openStage()
    const answer = await structured(stage, event)
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'ERR_BAD_EVENT', detail: expect.stringMatching(detail) },
    })
    expect(await logged(stage)).toEqual([])
  })

  test('no CloudEvent at all: 415', async () => {
    const stage = await openStage()
    for (const headers of [
      { 'content-type': 'application/json' },
      { 'content-type': 'application/cloudevents+avro' },
      {},
    ])
      expect(await stage.ask('POST', '/events', { body: Buffer.from('{}'), headers })).toMatchObject({
        status: 415,
        body: { code: 'ERR_MEDIA_TYPE' },
      })
  })

  test.each<[string, object, string]>([
    ['a type that is no name of an event', { type: 'com.example/paid' }, '$.type'],
    ['the source of our own clients', { source: 'millrace' }, '$.source'],
    ['data that its schema refuses', { data: { orderId: 'A1', cents: 0.5 } }, '$.data.cents'],
    ['no data where there should be', { data: undefined }, '$.data'],
    ['data where there is none', { type: 'shop.closed' }, '$.data'],
    ['an event that is not offered', { type: 'order.shipped' }, '$.type'],
  ])('%s: 422 with the place', async (_what, part, path) => {
    const stage = await openStage({ events: [orderPaid, shopClosed] })
    const answer = await structured(stage, { ...EVENT, ...part })
    expect(answer).toMatchObject({ status: 422, body: { code: 'ERR_VALIDATION', issues: [{ path }] } })
    expect(await logged(stage)).toEqual([])
  })

  test('an event above 1 MiB is refused, also where the body may be larger', async () => {
    const stage = await openStage({ bodyLimit: 4 * 1024 * 1024 })
    const answer = await structured(stage, { ...EVENT, type: 'big', data: 'x'.repeat(1024 * 1024) })
    expect(answer).toMatchObject({ status: 413, body: { code: 'ERR_PAYLOAD_TOO_LARGE' } })
  })
})

test('schemas that only the store knows are checked, and types that nobody knows are taken', async () => {
  const stage = await openStage()
  await stage.client.work({ handlers: [on(orderPaid, 'mail', () => {}), handle(greet, () => ({ text: '' }))] })
  expect(await structured(stage, { ...EVENT, data: { orderId: 5 } })).toMatchObject({ status: 422 })
  expect(await structured(stage, { ...EVENT, type: 'never.heard.of' })).toMatchObject({ status: 202 })
})

describe('the CloudEvents SDK, over a socket', () => {
  let server: ServerType | undefined
  afterEach(() => new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined))))

  test('binary, structured and batched events all arrive, once', async () => {
    const stage = await openStage()
    const got: string[] = []
    await stage.client.work({
      handlers: [
        on(orderPaid, 'count', ({ id, payload, subject, extensions }) => {
          got.push(`${id} ${payload.orderId} ${subject} ${extensions?.['tenant']}`)
        }),
      ],
    })
    const port = await new Promise<number>((resolve) => {
      server = serve({ fetch: stage.handle, port: 0, hostname: '127.0.0.1' }, (info: AddressInfo) => resolve(info.port))
    })
    const url = `http://127.0.0.1:${port}/events`
    const event = (id: string) =>
      new CloudEvent({
        id,
        source: '/sdk',
        type: 'order.paid',
        subject: 'order A1',
        tenant: 'x',
        data: { orderId: id, cents: 5 },
      })

    await emitterFor(httpTransport(url), { mode: Mode.BINARY })(event('b'))
    await emitterFor(httpTransport(url), { mode: Mode.STRUCTURED })(event('s'))
    const batch = await fetch(url, { method: 'POST', headers: BATCH, body: JSON.stringify([event('x'), event('y')]) })
    expect(batch.status).toBe(202)
    const events = await logged(stage)
    expect(events.map(({ id }) => id)).toEqual(['b', 's', 'x', 'y'])
    for (const { id } of events)
      await stage.ask('GET', `/jobs/${storedId(id, '/sdk')}/count`, { headers: { prefer: 'wait=10' } })
    expect(got.sort()).toEqual(['b', 's', 'x', 'y'].map((id) => `${id} ${id} order A1 x`))
    expect(stage.handle.stats().answers).toMatchObject({ 202: 3 })
  })
})
