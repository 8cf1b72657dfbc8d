// A gateway on a SQLite file of its own for each test, asked as a server would ask it.
import { createLogger, defineEvent, defineTask, type ClientOptions } from 'millrace'
import { afterEach } from 'vitest'
import { z } from 'zod'
import { connect, type Client } from '../../src/connect.js'
import { gateway, type Gateway, type GatewayOptions } from '../../src/http/index.js'
import type { Place } from '../../src/testing/conformance/place.js'
import { sqliteHarness } from '../support/sqlite.js'

export const greet = defineTask('greet', {
  input: z.object({ name: z.string() }),
  output: z.object({ text: z.string() }),
})
export const tidy = defineTask('tidy')
export const orderPaid = defineEvent('order.paid', { payload: z.object({ orderId: z.string(), cents: z.int() }) })
export const shopClosed = defineEvent('shop.closed')

export interface Stage {
  readonly client: Client
  readonly handle: Gateway
  readonly place: Place
  /** Lines that were logged, as text. */
  readonly log: readonly string[]
  ask(method: string, path: string, o?: AskOptions): Promise<Answer>
}

export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly body?: RequestInit['body']
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: any
}

const open = new Set<Stage>()
afterEach(async () => {
  for (const { client, place } of open) {
    await client.close({ grace: 0 })
    await place.destroy()
  }
  open.clear()
})

/** Tasks and events are those above unless the options say otherwise. */
export async function openStage(options: GatewayOptions = {}, o: ClientOptions = {}): Promise<Stage> {
  const place = await sqliteHarness.create()
  const log: string[] = []
  const client = await connect(place.open({}), { log: createLogger('debug', (line) => void log.push(line)), ...o })
  let handle: Gateway
  try {
    handle = gateway(client, { tasks: [greet, tidy], ...options })
  } catch (error) {
    await client.close()
    await place.destroy()
    throw error
  }
  const stage: Stage = {
    client,
    handle,
    place,
    log,
    ask: (method, path, asked) => askOf(handle, method, path, asked),
  }
  open.add(stage)
  return stage
}

export async function askOf(
  handle: (request: Request) => Promise<Response>,
  method: string,
  path: string,
  { headers = {}, json, body, signal }: AskOptions = {},
): Promise<Answer> {
  const request = new Request(`http://localhost${path}`, {
    method,
    headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(json !== undefined ? { body: JSON.stringify(json) } : body !== undefined && { body, duplex: 'half' }),
    ...(signal && { signal }),
  } as RequestInit)
  const response = await handle(request)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
}

/** Names of the tasks and ids of all jobs, the newest first. */
export async function jobsIn({
  client,
}: Stage): Promise<{ id: string; name: string; state: string; input: unknown }[]> {
  const { jobs } = await client.jobs.list({ limit: 1_000 })
  return jobs.map(({ id, name, state, input }) => ({ id, name, state, input }))
}
