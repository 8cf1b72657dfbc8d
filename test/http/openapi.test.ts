// GET /openapi.json: a whole document whose references lead somewhere, of what the caller may do and nothing else.
import { Validator } from '@cfworker/json-schema'
import { defineTask } from 'millrace'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { github } from '../../src/http/index.js'
import { greet, openStage, orderPaid, shopClosed, tidy } from './support.js'

/** Refers to itself, and has a colon in its name. */
const tree = z.object({
  name: z.string(),
  get children() {
    return z.array(tree)
  },
})
const plant = defineTask('garden:plant', { input: tree })

type Json = Record<string, any>

async function document(options = {}, headers = {}): Promise<Json> {
  const stage = await openStage({
    tasks: [greet, tidy, plant],
    events: [orderPaid, shopClosed],
    webhooks: { github: github({ secret: '0123456789' }) },
    ...options,
  })
  const { status, body } = await stage.ask('GET', '/openapi.json', { headers })
  expect(status).toBe(200)
  return body as Json
}

/** Every object of the document. */
function* objectsIn(value: unknown): Generator<Json> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield value as Json
  for (const one of Object.values(value)) yield* objectsIn(one)
}

function lookUp(doc: Json, ref: string): unknown {
  return ref
    .slice(2)
    .split('/')
    .reduce<any>((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], doc)
}

const METHODS = ['get', 'post', 'delete']

test('it has what OpenAPI 3.1 asks for', async () => {
  const doc = await document()
  expect(doc['openapi']).toMatch(/^3\.1\./)
  expect(doc['info']).toMatchObject({ title: expect.any(String), version: expect.any(String) })
  const operations = Object.entries(doc['paths'] as Json).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => ({ path, item, operation: item[method] })),
  )
  expect(operations.map(({ path }) => path)).toEqual([
    '/tasks/greet',
    '/tasks/tidy',
    '/tasks/garden:plant',
    '/events',
    '/jobs/{id}',
    '/jobs/{id}',
    '/webhooks/github',
  ])
  const ids = operations.map(({ operation }) => operation.operationId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { path, item, operation } of operations) {
    const parameters: Json[] = [...(item.parameters ?? []), ...(operation.parameters ?? [])]
    const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
    expect(parameters.filter((one) => one['in'] === 'path').map(({ name }) => name)).toEqual(inPath)
    for (const one of parameters) expect(one).toMatchObject({ name: expect.any(String), schema: expect.any(Object) })
    for (const response of Object.values<Json>(operation.responses))
      expect(response['description']).toEqual(expect.any(String))
  }
  for (const key of Object.keys(doc['components'].schemas)) expect(key).toMatch(/^[A-Za-z0-9._-]+$/)
  for (const { $ref } of objectsIn(doc))
    if ($ref !== undefined) expect([$ref, typeof lookUp(doc, $ref)]).toEqual([$ref, 'object'])
})

test('its schemas are those of the tasks and events, also where one refers to itself', async () => {
  const doc = await document()
  const inputOf = (task: string) => doc['paths'][`/tasks/${task}`].post.requestBody?.content['application/json'].schema
  const accepts = (schema: Json, value: unknown) =>
    new Validator({ ...schema, components: doc['components'] } as object, '2020-12').validate(value).valid
  expect([accepts(inputOf('greet'), { name: 'Ada' }), accepts(inputOf('greet'), { name: 5 })]).toEqual([true, false])
  const leaf = { name: 'b', children: [] }
  expect(accepts(inputOf('garden:plant'), { name: 'a', children: [leaf] })).toBe(true)
  expect(accepts(inputOf('garden:plant'), { name: 'a', children: [{ ...leaf, children: [5] }] })).toBe(false)
  expect(inputOf('tidy')).toBeUndefined()
  const result = doc['paths']['/tasks/greet'].post.responses[200].content['application/json'].schema
  const at = '2026-01-31T12:00:00.000Z'
  const job = { id: 'a', task: 'greet', state: 'completed', attempt: 1, cancelling: false, enqueuedAt: at, dueAt: at }
  expect([accepts(result, { ...job, result: { text: 'Hi' } }), accepts(result, { ...job, result: 5 })]).toEqual([
    true,
    false,
  ])
  const event = doc['paths']['/events'].post.requestBody.content['application/cloudevents+json'].schema
  const paid = { specversion: '1.0', id: '1', source: '/a', type: 'order.paid', data: { orderId: 'A', cents: 5 } }
  expect([
    accepts(event, paid),
    accepts(event, { ...paid, data: {} }),
    accepts(event, { ...paid, type: 'other' }),
  ]).toEqual([true, false, false])
})

test('a token sees what it may use', async () => {
  const tokens = [{ name: 'a', token: '0123456789abcdef', scopes: ['enqueue'], tasks: ['tidy'], events: ['shop.#'] }]
  const doc = await document({ tokens, basePath: '/api' }, { authorization: 'Bearer 0123456789abcdef' }).catch(
    () => undefined,
  )
  expect(doc).toBeUndefined() // it lies below the base path
  const stage = await openStage({
    tasks: [greet, tidy],
    events: [orderPaid, shopClosed],
    tokens: tokens as never,
    basePath: '/api',
  })
  const { body } = await stage.ask('GET', '/api/openapi.json', {
    headers: { authorization: 'Bearer 0123456789abcdef' },
  })
  expect(Object.keys(body.paths).filter((path) => path.startsWith('/tasks'))).toEqual(['/tasks/tidy'])
  expect(JSON.stringify(body)).not.toContain('order.paid')
  expect(body).toMatchObject({
    servers: [{ url: '/api' }],
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  })
})
