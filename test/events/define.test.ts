// `on`, `route` and a worker's subscriptions: what is refused, and what a subscriber receives.
import * as v from 'valibot'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  defineEvent,
  defineTask,
  handle,
  match,
  on,
  route,
  unchecked,
  type Client,
  type Handler,
  type Logger,
  type Message,
} from '../../src/index.js'
import { createClient } from '../../src/connect.js'
import { memory } from '../../src/drivers/memory/index.js'
import { until } from '../../src/testing/conformance/stage.js'
import { runHandler } from '../../src/testing/index.js'

const paid = defineEvent('order.paid', { payload: z.object({ cents: z.string().transform(Number) }) })
const shipped = defineEvent('order.item.shipped', { payload: v.object({ carrier: v.string() }) })
const closed = defineEvent('shop.closed')
const report = defineTask('report', { input: z.object({ day: z.string() }) })
const nothing = () => {}

let open: Client[] = []
afterEach(async () => {
  for (const client of open) await client.close({ grace: 0 })
  open = []
})

function clientOn(
  name: string,
  log: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing },
): Client {
  const client = createClient(memory({ name }), { log })
  open.push(client)
  return client
}

describe('on', () => {
  it.each([
    [() => on('order.#.late', 's', nothing), /"#" stands for any number of tokens and may only be the last one/],
    [() => on(paid, 'a name', nothing), /The subscription name "a name" is not allowed/],
    [() => on(paid, 's', 'no function' as never), /on\(…, "s"\): the handler is a string, not a function/],
    [() => on(report as never, 's', nothing), /is no event, list of events or pattern/],
    [() => on(undefined as never, 's', nothing), /is no event, list of events or pattern/],
    [() => on([], 's', nothing), /the list of events is empty/],
    [() => on([report as never], 's', nothing), /An event made by defineEvent\(\) is expected/],
    [() => on(paid, 's', nothing, { retries: 3 } as never), /no option "retries"/],
    [() => on(paid, 's', nothing, { concurrency: 0 }), /concurrency: 0 is no whole number/],
    [() => on(paid, 's', nothing, { timeout: 'soon' as never }), /timeout/],
    [() => route(paid, 'report' as never, nothing as never), /A task made by defineTask\(\) is expected/],
    [() => route(paid, report, undefined as never), /undefined is no function of the event/],
    [() => match('order.#.x', [paid]), /may only be the last one/],
  ])('refuses what it cannot do (%#)', (call, message) => expect(call).toThrow(message))

  it('refuses a worker with a subscription twice, and tells both patterns', async () => {
    const work = (...handlers: Handler[]) => clientOn('twice').work({ handlers })
    await expect(work(on(paid, 's', nothing), on('shop.#', 's', nothing))).rejects.toThrow(
      'subscription "s" is there twice, for "order.paid" and for "shop.#"',
    )
  })

  it('names of tasks that look like those of subscriptions are refused', () => {
    expect(() => defineTask('on:receipts')).toThrow(/are those of subscriptions and schedules/)
  })
})

describe('a subscriber', () => {
  it('receives the message with its payload as the schema parsed it', async () => {
    const seen: Message[] = []
    const handler = on(match('order.#', { paid, shipped, closed }), 'audit', (e) => void seen.push(e))
    await runHandler(handler, { name: 'order.paid', payload: { cents: '42' }, id: 'e1', subject: 'A1' })
    await runHandler(handler, { name: 'order.item.shipped', payload: { carrier: 'x' } })
    expect(seen).toEqual([
      {
        id: 'e1',
        name: 'order.paid',
        payload: { cents: 42 },
        time: expect.any(Date),
        source: 'millrace',
        subject: 'A1',
      },
      {
        id: expect.any(String),
        name: 'order.item.shipped',
        payload: { carrier: 'x' },
        time: expect.any(Date),
        source: 'millrace',
      },
    ])
  })

  it('is not called for a payload that does not fit', async () => {
    const handler = on(paid, 's', () => expect.unreachable())
    await expect(runHandler(handler, { payload: { cents: 42 } })).rejects.toMatchObject({
      code: 'ERR_VALIDATION',
      issues: [{ path: '$.payload.cents' }],
    })
    await expect(
      runHandler(
        on(closed, 's', () => {}),
        { payload: 1 },
      ),
    ).rejects.toMatchObject({
      issues: [{ path: '$.payload', message: 'nothing is expected here' }],
    })
  })

  it('of a pattern without definitions gets any payload, unchecked', async () => {
    const seen: unknown[] = []
    const handler = on('order.#', 's', (e) => void seen.push(e.payload))
    await runHandler(handler, { name: 'order.paid', payload: { anything: true } })
    expect(seen).toEqual([{ anything: true }])
  })

  it('has options of its own: retries, timeout and queue', async () => {
    const client = clientOn('options')
    const handlers = [
      on(
        paid,
        's',
        (_e, ctx) => {
          throw new Error(`attempt ${ctx.job.attempt} of ${ctx.job.maxAttempts} in ${ctx.job.queue}`)
        },
        { retry: false, queue: 'shared' },
      ),
    ]
    await client.work({ handlers })
    await client.publish(paid, { cents: '1' }, { id: 'e1', headers: { tenant: 'x' } })
    await until(async () => (await client.jobs.get('e1/s'))?.state === 'dead', 'it to die')
    const job = await client.jobs.get('e1/s')
    expect(job?.errors.at(-1)?.message).toBe('attempt 1 of 1 in shared')
    expect(job?.headers).toEqual({ tenant: 'x' })
    expect(job?.input).toMatchObject({ specversion: '1.0', id: 'e1', type: 'order.paid', data: { cents: '1' } })
  })

  it('publishes through its ctx, with the trace of what it was told by', async () => {
    const client = clientOn('chain')
    const seen: Message[] = []
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await client.work({
      handlers: [
        on(paid, 'first', async (_e, ctx) => void (await ctx.publish(closed, undefined, { id: 'next' }))),
        on(closed, 'second', (e, ctx) => {
          seen.push(e)
          expect(ctx.job.headers).toEqual({ 'millrace-parent': 'e1/first', traceparent: trace })
        }),
      ],
    })
    await client.publish(paid, { cents: '1' }, { id: 'e1', headers: { traceparent: trace } })
    await until(() => seen.length === 1, 'the second event')
    expect(seen[0]).toMatchObject({ id: 'next', extensions: { traceparent: trace } })
  })
})

describe('declarations', () => {
  it('of two versions: the newest holds, and the log tells of the change', async () => {
    const warned: unknown[] = []
    const log: Logger = { debug: nothing, info: nothing, error: nothing, warn: (o) => void warned.push(o) }
    const [first, second] = [clientOn('versions'), clientOn('versions', log)]
    await first.work({ handlers: [on(paid, 's', nothing)] })
    await second.work({ handlers: [on('order.#', 's', nothing)] })
    expect((await first.subscriptions.list()).map(({ patterns }) => patterns)).toEqual([['order.#']])
    expect(warned).toEqual([{ subscription: 's', before: 'order.paid', now: 'order.#', queue: 'on:s' }])
  })

  it('that share a queue are told of with its jobs once, and with whose queue it is', async () => {
    const client = clientOn('shared')
    const handlers = ['one', 'two'].map((name) => on(closed, name, nothing, { queue: 'shared' }))
    await (await client.work({ handlers })).stop()
    for (let i = 0; i < 5; i++) await client.enqueue(defineTask('mail', { queue: 'shared' }))
    await client.publish(closed)
    const told = async () => (await client.doctor()).find(({ code }) => code === 'subscription-undeclared')?.message
    expect(await told()).toContain('pile up, 7 jobs in their queues by now')
    const worker = await client.work({ handlers: [on(paid, 'other', nothing)] })
    expect(await told()).toContain('pile up, in queue "shared", which has 7 jobs by now')
    await worker.stop()
  })

  it('tell operators who gets which event', async () => {
    const client = clientOn('catalogue')
    await client.work({
      handlers: [
        on(match('order.#', { paid, shipped }), 'audit', nothing),
        on('user.*', 'crm', nothing),
        route(paid, report, () => ({ day: '2026-01-31' })),
        handle(report, nothing),
      ],
    })
    expect(await client.events.list()).toEqual([
      { name: 'order.item.shipped', subscriptions: ['audit'], tasks: [] },
      { name: 'order.paid', subscriptions: ['audit'], tasks: ['report'] },
      { name: 'user.*', subscriptions: ['crm'], tasks: [] },
    ])
  })

  it('queues a job for each event, whatever its id is', async () => {
    const client = clientOn('slashes')
    const done: string[] = []
    const worker = await client.work({
      handlers: [
        route(closed, report, (e) => ({ day: e.id })),
        handle(report, ({ day }, ctx) => void done.push(`${day} ${ctx.job.id}`)),
      ],
    })
    const ids = ['orders/1', 'orders/2', 'a/shop.closed-report', '/']
    for (const id of ids) await client.publish(closed, undefined, { id })
    await until(() => done.length >= ids.length, 'every job')
    expect([...done].sort()).toEqual(ids.map((id) => `${id} ${id}/task/report`).sort())
    await worker.stop()
  })

  it('with a long event and task still have a name that fits', async () => {
    const long = defineEvent(`${'a'.repeat(150)}.paid`)
    const task = defineTask('t'.repeat(90), { input: unchecked<number>() })
    const bound = route(long, task, () => 1)['~bound']
    expect(bound?.subscription?.name).toHaveLength(80)
    expect(route(long, task, () => 1)['~bound']?.subscription?.name).toBe(bound?.subscription?.name)
  })
})

describe('publish', () => {
  it.each([
    [{ id: '' }, /The event id/],
    [{ id: 'x'.repeat(81) }, /80 are allowed/],
    [{ subject: '' }, /subject/],
    [{ time: new Date('never') }, /time: Invalid Date is no valid Date/],
    [{ topic: 'x' } as never, /no option "topic"/],
    [{ headers: { a: 1 } as never }, /headers are text/],
  ])('refuses the options %j', async (options, message) => {
    await expect(clientOn('refused').publish(paid, { cents: '1' }, options)).rejects.toThrow(message)
  })

  it('refuses what is no event, and a payload above the limit', async () => {
    const client = clientOn('refused')
    await expect(client.publish(report as never, {} as never)).rejects.toThrow(/An event made by defineEvent\(\)/)
    const big = defineEvent('big', { payload: unchecked<string>() })
    await expect(client.publish(big, 'x'.repeat(1024 * 1024))).rejects.toMatchObject({ code: 'ERR_PAYLOAD_TOO_LARGE' })
    expect(await client.events.log()).toEqual([])
  })

  it('keeps what it was told in the log', async () => {
    const client = clientOn('log')
    const time = new Date('2026-01-31T12:00:00Z')
    await client.publish(paid, { cents: '42' }, { id: 'e1', subject: 'A1', time, headers: { tenant: 'x' } })
    expect(await client.events.log({ pattern: 'order.*' })).toEqual([
      {
        n: 1,
        id: 'e1',
        storedId: 'e1',
        name: 'order.paid',
        payload: { cents: '42' },
        time,
        source: 'millrace',
        subject: 'A1',
        headers: { tenant: 'x' },
        publishedAt: expect.any(Date),
      },
    ])
    expect(await client.events.log({ after: 1 })).toEqual([])
    await expect(client.events.log({ limit: 0 })).rejects.toThrow(/limit: 0/)
    await expect(client.events.log({ pattern: 'a.#.b' })).rejects.toThrow(/may only be the last/)
    await expect(client.events.replay('none', { since: time })).rejects.toThrow(/There is no subscription "none"/)
    await expect(client.events.replay('none', {} as never)).rejects.toThrow(/`since` is missing/)
  })
})
