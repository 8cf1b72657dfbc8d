// What users write, and what the compiler must say to it. Compiled against dist/ by types.test.ts, never run.
import { z } from 'zod'
import * as v from 'valibot'
import { type } from 'arktype'
import * as m from 'millrace'
import * as kit from 'millrace/testing'
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(ok: Equal<A, B>): void
declare const client: m.Client
type SendOf<T> = T extends m.Task<infer X> ? X : never
type ReturnOf<T> = T extends m.Task<any, any, infer X> ? X : never
interface PgTx {
  query(sql: string): Promise<unknown>
}
declare function postgres(o: { url?: string; pool?: unknown }): m.StatefulDriver<PgTx>
declare const pgTx: PgTx

// zod: transform, default, optional
export const t1 = m.defineTask('image.resize', {
  input: z.object({ n: z.string().transform(Number), d: z.number().default(3), o: z.string().optional() }),
  output: z.object({ when: z.iso.datetime().transform((s) => new Date(s)) }),
})
same<SendOf<typeof t1>, { n: string; d?: number | undefined; o?: string | undefined }>(true)
same<m.InputOf<typeof t1>, { n: number; d: number; o?: string | undefined }>(true)
same<ReturnOf<typeof t1>, { when: string }>(true)
same<m.OutputOf<typeof t1>, { when: Date }>(true)
const j1 = await client.enqueue(t1, { n: '1' }, { delay: '5m', priority: 7, unique: 'x' })
void client.enqueue(t1, { n: '1' }, { reply: true })
// @ts-expect-error -- a reply is wanted or not
void client.enqueue(t1, { n: '1' }, { reply: 'yes' })
same<typeof j1, m.Job<{ when: Date }>>(true)
m.handle(t1, async ({ n, d }, ctx) => {
  n.toFixed()
  d.toFixed()
  ctx.signal
  return { when: '2026-01-01' }
})
m.handle(t1, ({ n }) => ({ when: String(n) }))
// @ts-expect-error wrong return
m.handle(t1, async () => ({ when: new Date() }))
// @ts-expect-error no return
m.handle(t1, async () => {})
// @ts-expect-error wrong payload
await client.enqueue(t1, { n: 1 })
// @ts-expect-error missing payload
await client.enqueue(t1)
// @ts-expect-error unknown unit
await client.enqueue(t1, { n: '1' }, { delay: '5 parsecs' })
// @ts-expect-error BullMQ-style priority
await client.enqueue(t1, { n: '1' }, { priority: 100 })
// @ts-expect-error tx on a client without transactions
await client.enqueue(t1, { n: '1' }, { tx: pgTx })

// valibot
export const t2 = m.defineTask('mail.send', {
  input: v.object({ to: v.pipe(v.string(), v.email()), n: v.pipe(v.string(), v.transform(Number)) }),
  retry: { maxAttempts: 5, backoff: m.exponential('1s', { max: '1h' }) },
  unique: (i) => i.to,
})
same<SendOf<typeof t2>, { to: string; n: string }>(true)
same<m.InputOf<typeof t2>, { to: string; n: number }>(true)
const r2 = await (await client.enqueue(t2, { to: 'a', n: '1' })).result()
same<typeof r2, void>(true)
m.handle(t2, async ({ n }) => {
  n.toFixed()
})
// @ts-expect-error a task without output returns nothing
m.handle(t2, async ({ n }) => ({ n }))
// unique before input in the object
export const t2b = m.defineTask('x', { unique: (i) => i.to, group: (i) => i.to, input: z.object({ to: z.string() }) })
// arktype
export const t5 = m.defineTask('ark', { input: type({ a: 'string', b: 'number = 3' }) })
await client.enqueue(t5, { a: 'x' })
m.handle(t5, ({ b }) => {
  b.toFixed()
})

// no schema at all
export const ping = m.defineTask('ping')
await client.enqueue(ping)
await client.enqueue(ping, undefined, { delay: 100 })
// @ts-expect-error ping takes no input
await client.enqueue(ping, { a: 1 })
m.handle(ping, async (input, ctx) => {
  same<typeof input, void>(true)
  await ctx.progress(0.5)
})
// typed, unchecked
export const raw = m.defineTask('raw', { input: m.unchecked<{ a: number }>(), output: m.unchecked<string[]>() })
same<Awaited<ReturnType<m.Job<m.OutputOf<typeof raw>>['result']>>, string[]>(true)
m.handle(raw, ({ a }) => [String(a)])
// optional input object, union input, primitive input, unknown input
export const opt = m.defineTask('opt', { input: z.object({ a: z.string() }).optional() })
await client.enqueue(opt, undefined)
await client.enqueue(opt)
// @ts-expect-error a task is no event
await client.publish(ping)
// @ts-expect-error an event is no task
await client.enqueue(m.defineEvent('zz'))
export const uni = m.defineTask('uni', {
  input: z.discriminatedUnion('k', [
    z.object({ k: z.literal('a'), a: z.string() }),
    z.object({ k: z.literal('b'), b: z.number() }),
  ]),
})
await client.enqueue(uni, { k: 'b', b: 1 })
export const prim = m.defineTask('prim', { input: z.string() })
await client.enqueue(prim, 'x')
export const unk = m.defineTask('unk', { input: z.unknown() })
await client.enqueue(unk, 1)
// dates
// @ts-expect-error a Date does not survive JSON
export const bad1 = m.defineTask('bad', { input: z.object({ a: z.object({ at: z.date() }) }) })
// @ts-expect-error nor a bigint in the output
export const bad2 = m.defineTask('bad', { output: z.array(z.object({ n: z.bigint() })) })
export const good = m.defineTask('good', { input: z.object({ at: z.coerce.date() }) })
// recursive
interface Tree {
  v: string
  kids: Tree[]
}
const tree: z.ZodType<Tree, Tree> = z.lazy(() => z.object({ v: z.string(), kids: z.array(tree) }))
export const rec = m.defineTask('rec', { input: tree })
await client.enqueue(rec, { v: 'a', kids: [] })
const Cat = z.object({
  name: z.string(),
  get sub() {
    return z.array(Cat)
  },
})
export const rec2 = m.defineTask('rec2', { input: Cat })
export const js = m.defineTask('json', { input: z.json() })
await client.enqueue(js, { a: [1, { b: null }] })
interface Iface {
  a: string
  b?: number
}
export const ifc = m.defineTask('ifc', { input: m.unchecked<Iface>() })

// many
const many = await client.enqueueMany(t2, [{ to: 'a', n: '1' }], {
  each: (i) => ({ unique: { key: i.to, until: '30d' } }),
})
same<typeof many, readonly m.Job<void>[]>(true)
// @ts-expect-error wrong element
await client.enqueueMany(t2, [{ to: 'a', n: 1 }])
// handle from id
same<Awaited<ReturnType<ReturnType<typeof client.job<{ when: Date }>>['result']>>, { when: Date }>(true)
const again = client.job(t1, 'id')
same<typeof again, m.Job<{ when: Date }>>(true)

// events
export const orderPaid = m.defineEvent('order.paid', { payload: z.object({ orderId: z.string(), cents: z.number() }) })
export const orderShipped = m.defineEvent('order.item.shipped', { payload: v.object({ carrier: v.string() }) })
export const userNew = m.defineEvent('user.new', { payload: z.object({ email: z.string() }) })
export const tickEv = m.defineEvent('tick')
const events = { orderPaid, orderShipped, userNew, unrelated: 3, ping }
m.on(orderPaid, 'receipt', async (e) => {
  same<typeof e.payload, { orderId: string; cents: number }>(true)
  same<typeof e.name, 'order.paid'>(true)
})
m.on([orderPaid, userNew], 'both', async (e) => {
  if (e.name === 'user.new') e.payload.email.trim()
  else e.payload.cents.toFixed()
})
m.on(m.match('order.#', events), 'audit', async (e) => {
  same<typeof e.name, 'order.paid' | 'order.item.shipped'>(true)
  if (e.name === 'order.paid') e.payload.cents.toFixed()
  else e.payload.carrier.trim()
})
m.on(m.match('*.new', [orderPaid, userNew]), 'x', async (e) => {
  same<typeof e.name, 'user.new'>(true)
})
m.on(m.match('#', events), 'all', async (e) => {
  same<typeof e.name, 'order.paid' | 'order.item.shipped' | 'user.new'>(true)
})
m.on('order.#', 'raw', async (e) => {
  same<typeof e.payload, unknown>(true)
})
await client.publish(orderPaid, { orderId: 'a', cents: 1 }, { id: 'evt_1' })
await client.publish(tickEv)
// @ts-expect-error wrong payload
await client.publish(orderPaid, { orderId: 'a' })
m.route(orderPaid, t2, (e) => ({ to: e.payload.orderId, n: '1' }))
// @ts-expect-error wrong map
m.route(orderPaid, t2, (e) => ({ to: e.payload.orderId, n: 1 }))

// what an operator sees
const lines = await client.jobs.logs('id', { after: 3, limit: 10 })
same<typeof lines, readonly m.JobLine[]>(true)
same<m.JobLine['level'], 'debug' | 'info' | 'warn' | 'error'>(true)
const statuses = await client.workers.list()
same<typeof statuses, readonly m.WorkerStatus[]>(true)
same<m.WorkerStatus['state'], 'ok' | 'busy' | 'blocked' | 'stopping' | 'silent'>(true)
const findings = await client.doctor({ deep: true })
same<typeof findings, readonly m.Finding[]>(true)
same<m.Finding['level'], 'ok' | 'warning' | 'error'>(true)
same<typeof client.events.list, () => Promise<readonly m.EventInfo[]>>(true)
same<Awaited<ReturnType<typeof client.events.log>>, readonly m.PublishedEvent[]>(true)
same<Awaited<ReturnType<typeof client.events.replay>>, number>(true)
same<Awaited<ReturnType<typeof client.subscriptions.list>>, readonly m.SubscriptionInfo[]>(true)
// @ts-expect-error from when on is not left open
await client.events.replay('receipts', {})
await client.jobs.list({ suspect: true, blocked: 'no-handler' })
// @ts-expect-error who waits as no suspect is not asked for
await client.jobs.list({ suspect: false })
// @ts-expect-error lines are of one job
await client.jobs.logs({ task: 'mail.send' })

// schedules
m.schedule('nightly', { cron: '0 3 * * *', timezone: 'Europe/Berlin' }, async (tick, ctx) => {
  same<typeof tick, m.Tick>(true)
  tick.time.getTime()
  await ctx.progress(0.5)
})
m.schedule('nightly', { every: '15m' }, ping)
m.schedule('once', { at: new Date() }, ping)
m.schedule('nightly', { cron: '0 3 * * *' }, prim, 'day')
m.schedule('nightly', { cron: '0 3 * * *' }, prim, (tick) => tick.time.toISOString())
m.schedule('own', { every: '1h', queue: 'mine', retry: false, timeout: '5m', concurrency: 1 }, () => {})
// @ts-expect-error input needed
m.schedule('nightly', { cron: '0 3 * * *' }, prim)
// @ts-expect-error wrong input
m.schedule('nightly', { cron: '0 3 * * *' }, prim, 3)
// @ts-expect-error both
m.schedule('nightly', { cron: '0 3 * * *', every: '1m' }, ping)
// @ts-expect-error an interval has no zone
m.schedule('nightly', { every: '1m', timezone: 'UTC' }, ping)
// @ts-expect-error no such policy
m.schedule('nightly', { every: '1m', missed: 'twice' }, ping)
// @ts-expect-error the task has options of its own
m.schedule('nightly', { every: '1m', queue: 'mine' }, ping)
const made = await client.schedules.create('r', { every: '1h' }, prim, 'x')
same<typeof made, m.ScheduleInfo>(true)
await client.schedules.create('r', { cron: '@daily' }, ping)
// @ts-expect-error input needed
await client.schedules.create('r', { every: '1h' }, prim)
same<Awaited<ReturnType<typeof client.schedules.list>>, readonly m.ScheduleInfo[]>(true)
same<Awaited<ReturnType<typeof client.schedules.trigger>>, { id: string; duplicate: boolean }>(true)

// workers
const mail: m.Handler[] = [m.handle(t2, async () => {})]
m.defineWorker({ concurrency: 10, handlers: [mail, [m.handle(ping, () => {})]] })
m.defineWorker(async () => {
  const db = { end: async () => {} }
  return {
    handlers: [
      m.handle(ping, async () => {
        await client.enqueue(prim, 'x')
      }),
    ],
    onStop: () => db.end(),
  }
})

// transactions
const pg = await m.connect(postgres({}))
same<typeof pg, m.Client<PgTx>>(true)
await pg.enqueue(t2, { to: 'a', n: '1' }, { tx: pgTx })
await pg.publish(orderPaid, { orderId: 'a', cents: 1 }, { tx: pgTx })
// @ts-expect-error wrong tx
await pg.publish(orderPaid, { orderId: 'a', cents: 1 }, { tx: 3 })
// @ts-expect-error wrong tx
await pg.enqueue(t2, { to: 'a', n: '1' }, { tx: 3 })
const lite = await m.connect('sqlite:x.db')
same<typeof lite, m.Client<never>>(true)
const both = await m.connect({ broker: 'amqp://x', store: postgres({}) })
same<typeof both, m.Client<PgTx>>(true)
const both2 = await m.connect({ broker: 'amqp://x', store: 'sqlite:x.db' })
same<typeof both2, m.Client<never>>(true)
function service(c: m.Client) {
  return c.enqueue(ping)
}
void service(pg) // a richer client fits where a plain one is asked
function needsTx(c: m.Client<PgTx>) {
  return c.enqueue(ping, undefined, { tx: pgTx })
}
void needsTx(pg)
// @ts-expect-error a plain client has no transactions
void needsTx(lite)

// tests
const t = kit.createTestClient({ worker: { handlers: [mail] }, now: new Date(), faults: [{ at: 'ack', do: 'crash' }] })
kit.createTestClient({ worker: m.defineWorker({ handlers: mail }) })
const sent = t.enqueued(t1)
same<(typeof sent)[number]['input'], { n: string; d?: number | undefined; o?: string | undefined }>(true)
same<(typeof sent)[number]['options'], m.EnqueueOptions>(true)
const counts = await t.runAll()
same<(typeof counts)['retried'], number>(true)
same<Awaited<ReturnType<typeof t.advance>>, kit.RunCounts>(true)
void service(t)
void needsTx(t) // it fits where a client with transactions is asked
// @ts-expect-error unknown unit
await t.advance('5 parsecs')
const told = t.published(orderPaid)
same<(typeof told)[number]['payload'], { orderId: string; cents: number }>(true)
// @ts-expect-error a task is no event
t.published(t1)
const h1 = m.handle(t1, () => ({ when: '2026-01-01' }))
same<Awaited<ReturnType<typeof kit.runHandler<{ n: string }, { when: Date }>>>, { when: Date }>(true)
const r1 = await kit.runHandler(h1, { n: '1' }, { job: { attempt: 2 }, enqueue: t.enqueue })
same<typeof r1, { when: Date }>(true)
// @ts-expect-error wrong input
await kit.runHandler(h1, { n: 1 })
// @ts-expect-error no such part of a job
await kit.runHandler(h1, { n: '1' }, { job: { tries: 2 } })
await kit.runHandler(
  m.handle(ping, () => {}),
  undefined,
)
const faulty = kit.withFaults(postgres({}), [{ at: 'publish', do: { delay: '1s' }, when: 'after', task: t1, times: 2 }])
const overFaulty = m.createClient(faulty)
same<typeof overFaulty, m.Client<PgTx>>(true)
same<ReturnType<typeof faulty.pendingFaults>, readonly kit.Fault[]>(true)
// @ts-expect-error no such fault
kit.withFaults(faulty, [{ at: 'ack', do: 'explode' }])

{
  await using c = await m.connect('memory:')
  void c
}
