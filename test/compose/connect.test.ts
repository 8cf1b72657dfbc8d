// A client on a broker and a store: given to connect(), or named by the environment.
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { connect, createClient, type Client } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { compose } from '../../src/driver/compose.js'
import { memory } from '../../src/drivers/memory/index.js'
import { handle } from '../../src/worker/define.js'
import { bareMemory } from '../support/bare.js'
import { useFolder } from '../support/folder.js'

const folder = useFolder()
const task = defineTask('greet')
afterEach(() => {
  delete process.env['MILLRACE_URL']
  delete process.env['MILLRACE_STORE']
  delete process.env['MILLRACE_HISTORY']
  delete process.env['MILLRACE_NAMESPACE']
})

test('a broker by its driver and a store by its URL: enqueued, worked, and found in the store', async () => {
  const store = `sqlite:${join(folder(), 'jobs.db')}`
  const client = await connect({ broker: bareMemory(), store })
  await client.work({ handlers: [handle(task, () => {})] })
  const job = await client.enqueue(task)
  await job.result()
  await client.close()
  const looking = await connect(store)
  expect((await looking.jobs.get(job.id))?.state).toBe('completed')
  await looking.close()
})

test('MILLRACE_STORE names the store where no URL is given, and counts for nothing where one is', async () => {
  process.env['MILLRACE_URL'] = 'memory:'
  process.env['MILLRACE_STORE'] = `sqlite:${join(folder(), 'jobs.db')}`
  const client = createClient()
  await expect(client.connect()).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringContaining('The memory driver remembers jobs itself, so it cannot be the broker of a pair'),
  })
  await client.close()
  await (await connect('memory:')).close()
})

test("with history: 'final' a job is found once it has ended", async () => {
  const store = `sqlite:${join(folder(), 'jobs.db')}`
  const client = await connect({ broker: bareMemory(), store, history: 'final' })
  const job = await client.enqueue(task)
  expect(await client.jobs.get(job.id)).toBeUndefined()
  await expect(job.cancel()).rejects.toMatchObject({ code: 'ERR_JOB_NOT_FOUND' })
  const ended = job.result()
  await client.work({ handlers: [handle(task, () => {})] })
  await ended
  expect((await client.jobs.get(job.id))?.state).toBe('completed')
  await client.close()
})

test('MILLRACE_HISTORY says how much is written, and a wrong word is refused', async () => {
  process.env['MILLRACE_URL'] = 'amqp://localhost'
  process.env['MILLRACE_STORE'] = 'memory:'
  process.env['MILLRACE_HISTORY'] = 'some'
  const client = createClient()
  await expect(client.connect()).rejects.toThrow(/history: "some" is neither "full" nor "final"/)
  await client.close()
})

test('a wrong part is refused by name', async () => {
  const stripped = memory()
  const { ledger: _ledger, ...store } = stripped
  expect(() => compose({ broker: bareMemory(), store })).toThrow(/memory driver cannot keep the books/)
  expect(() => createClient({ broker: 'nonsense', store: 'memory:' })).toThrow(/"nonsense" is no URL/)
  await expect(connect({ broker: bareMemory(), store: 'memory:', histry: 'full' } as never)).rejects.toThrow(/"histry"/)
})

test('MILLRACE_NAMESPACE keeps apart what goes where MILLRACE_URL says, unless another is given', async () => {
  const url = `sqlite:${join(folder(), 'jobs.db')}`
  process.env['MILLRACE_URL'] = url
  process.env['MILLRACE_NAMESPACE'] = 'billing'
  const inside = await connect()
  const { id } = await inside.enqueue(task)
  const jobsOf = async (client: Client) => (await client.jobs.list({})).jobs.map((job) => job.id)
  expect(await jobsOf(inside)).toEqual([id])
  await inside.close()
  for (const client of [await connect(url), await connect(undefined, { namespace: 'other' })]) {
    expect(await jobsOf(client)).toEqual([])
    await client.close()
  }
  const again = await connect(url, { namespace: 'billing' })
  expect(await jobsOf(again)).toEqual([id])
  await again.close()
  process.env['MILLRACE_NAMESPACE'] = 'no name'
  expect(() => createClient()).toThrow(/namespace/)
})
