// Realistic programs: a web route, a worker of several files, tests, and the operator on call.
// Left out because this version does not have them: schedules, and isolation.
import * as contracts from './contracts.js'
import { sendMail, scrape, thumb, report, legacy, orderPaid } from './contracts.js'
import {
  createClient,
  defineWorker,
  handle,
  match,
  on,
  route,
  type Context,
  type InputOf,
  type Producer,
} from 'millrace'
import { createTestClient, runHandler } from 'millrace/testing'
import { z } from 'zod'
// 1 Next route + 2 monorepo web
export const client = createClient(process.env['MILLRACE_URL'])
export async function POST(req: Request): Promise<Response> {
  const body = z.object({ to: z.email() }).parse(await req.json())
  const job = await client.enqueue(sendMail, { to: body.to, template: 'welcome' }, { unique: `welcome:${body.to}` })
  return Response.json({ id: job.id, duplicate: job.duplicate }, { status: 202 })
}
export async function GET(_: Request, { params }: { params: { id: string } }): Promise<Response> {
  const info = await client.job(thumb, params.id).info()
  return Response.json({ state: info.state, progress: info.progress })
}
// 3 worker with several files, injected handles
interface Db {
  query(q: string, v: unknown[]): Promise<unknown>
  end(): Promise<void>
}
declare function openDb(): Promise<Db>
const mail = (db: Db) => [
  handle(sendMail, async ({ to, vars }, ctx) => {
    await db.query('insert …', [to, vars['name'], ctx.job.id])
  }),
  handle(legacy, async ({ userId }) => ({ ok: userId > 0 })),
]
export async function scrapePage({ url, tenant }: InputOf<typeof scrape>, ctx: Context) {
  const res = await fetch(url, { signal: ctx.signal })
  ctx.log.info({ tenant, status: res.status }, 'fetched')
  return { status: res.status }
}
export default defineWorker(async () => {
  const db = await openDb()
  return {
    concurrency: 20,
    queues: { images: { concurrency: 2 } },
    handlers: [mail(db), handle(scrape, scrapePage), thumbs, subs, nightly],
    onStop: () => db.end(),
  }
})
// 5 webhook → event → 3 subscribers
export async function stripeHook(evt: { id: string; orderId: string; cents: number }) {
  await client.publish(orderPaid, { orderId: evt.orderId, cents: evt.cents }, { id: evt.id })
}
const subs = [
  on(orderPaid, 'send-receipt', async (e, ctx) => {
    await ctx.enqueue(sendMail, { to: 'a@b.c', template: 'receipt', vars: { order: e.payload.orderId } })
  }),
  on(match('order.#', contracts), 'audit', async (e) => {
    if (e.name === 'order.paid') console.log(e.payload.cents)
    else console.log(e.payload.orderId)
  }),
  route(orderPaid, report, (e) => ({ day: e.time.toISOString().slice(0, 10) })),
]
// 6 nightly
const nightly = handle(report, async ({ day }, ctx) => {
  await ctx.enqueue(sendMail, { to: 'a@b.c', template: 'receipt', vars: { day } })
})
// 7 CPU
const thumbs = handle(
  thumb,
  async ({ path, width }, ctx) => {
    await ctx.progress(0.5, 'resizing')
    return { path: `${path}@${width}` }
  },
  { concurrency: 2 },
)
// 9 tests
export async function signUp(jobs: Producer, email: string) {
  await jobs.enqueue(sendMail, { to: email, template: 'welcome' })
}
const t = createTestClient({ worker: { handlers: [thumbs] } })
await signUp(t, 'a@b.c')
t.enqueued(sendMail)[0]?.input.to.trim()
const r = await runHandler(thumbs, { path: 'x', width: 3 }, { job: { attempt: 2 } })
r.path.trim()
// @ts-expect-error wrong input
await runHandler(thumbs, { path: 3 })
await t.enqueueMany(scrape, [{ tenant: 'a', url: 'https://x' }])
await t.runAll()
await t.advance('1h')
// 10 on call
const { jobs } = await client.jobs.list({
  states: ['dead'],
  task: scrape,
  error: 'ECONNREFUSED',
  since: new Date(Date.now() - 7_200_000),
})
await client.jobs.retry({ states: ['dead'], task: scrape, error: 'ECONNREFUSED' })
console.log(jobs.length)
