// Mounted where others have routes too: in Hono, and in a plain server of Node as Express and Fastify are ones.
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { once } from 'node:events'
import { connect as dial, type AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { listen } from '../../src/http/server.js'
import { askOf, openStage } from './support.js'

const GREET = { json: { name: 'Ada' } }

test('Hono', async () => {
  const stage = await openStage({ basePath: '/queue' })
  const app = new Hono()
  app.get('/', (c) => c.text('shop'))
  app.all('/queue/*', (c) => stage.handle(c.req.raw, c.env))
  const ask = (method: string, path: string, o = {}) => askOf(async (request) => app.fetch(request), method, path, o)
  const queued = await ask('POST', '/queue/tasks/greet', GREET)
  expect(queued.status).toBe(202)
  expect((await ask('GET', queued.headers.get('location')!)).body).toMatchObject({ id: queued.body.id, state: 'ready' })
})

test('a server of Node: the address of the caller is known', async () => {
  const stage = await openStage({ basePath: '/queue', rateLimit: { perSecond: 0.01, burst: 1 } })
  const listener = getRequestListener(stage.handle)
  const server = createServer((request, response) => {
    if (request.url!.startsWith('/queue/')) void listener(request, response)
    else response.end('shop')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/queue/tasks/tidy`, { method: 'POST' })
    await response.text()
    return response.status
  }
  expect([await ask(), await ask()]).toEqual([202, 429])
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

test('a caller that hangs up while it waits leaves nothing behind', async () => {
  const stage = await openStage()
  const server = await listen(stage.handle, { host: '127.0.0.1', port: 0, open: true })
  const socket = dial(server.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('POST /tasks/tidy HTTP/1.1\r\nhost: localhost\r\nprefer: wait=60\r\ncontent-length: 0\r\n\r\n')
  await expect.poll(() => stage.handle.stats().waiting).toBe(1)
  socket.destroy()
  await expect.poll(() => stage.handle.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
  await server.stop(1_000)
})

test('a server that is told to hurry cuts off what is under way', async () => {
  const stage = await openStage()
  const server = await listen(stage.handle, { host: '127.0.0.1', port: 0, open: true })
  const socket = dial(server.port, '127.0.0.1')
  socket.on('error', () => {}) // cut off, as expected
  await once(socket, 'connect')
  // A body that never comes to its end.
  socket.write('POST /tasks/tidy HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{')
  await expect.poll(() => stage.handle.stats().inFlight).toBe(1)
  const stopped = server.stop(60_000)
  const cut = once(socket, 'close')
  await server.stop(0)
  await Promise.all([stopped, cut])
})
