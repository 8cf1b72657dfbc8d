// `gateway`: jobs and events over HTTP, as a Web fetch handler that any server can mount.
import { Hono, type Context } from 'hono'
import { cors } from 'hono/cors'
import type { ClientParts } from '../client/client.js'
import { partsOf, type Client } from '../connect.js'
import { ConfigurationError } from '../core/errors.js'
import { json } from './answer.js'
import { createCatalogue } from './catalogue.js'
import type { Admitted, House } from './context.js'
import { createDoor } from './door.js'
import { receiveEvents } from './events.js'
import { createFlow } from './flow.js'
import { readiness } from './health.js'
import { cancelJob, readJob } from './jobs.js'
import { openApi } from './openapi.js'
import { refuseForeignPages } from './origin.js'
import { settingsOf, type GatewayOptions } from './options.js'
import { Problem, problemOf } from './problem.js'
import { enqueueTask } from './tasks.js'
import { receiveWebhook } from './webhooks/route.js'

/** What a gateway has done since it was made. */
export interface GatewayStats {
  readonly requests: number
  /** Requests under way, and how many of them only wait for a job. */
  readonly inFlight: number
  readonly waiting: number
  /** Answers by their status. */
  readonly answers: Readonly<Record<number, number>>
  /** Requests to webhooks whose signature did not hold, by the name of the source. */
  readonly badSignatures: Readonly<Record<string, number>>
}

/** A Web fetch handler. The second parameter is what the server gives along; @hono/node-server gives the socket in it. */
export interface Gateway {
  (request: Request, env?: unknown): Promise<Response>
  stats(): GatewayStats
  /** Answer what waits for a job now, and take on nothing more: 503. What is worked on is answered. The client stays open. */
  close(): void
}

const METHODS = ['GET', 'POST', 'DELETE']
const EXPOSED = ['Location', 'Preference-Applied', 'Retry-After', 'WWW-Authenticate']

type Route = (c: Context<Env>) => Promise<Response>
interface Env {
  Bindings: { readonly server: unknown; readonly seen: Seen }
}
/** What is learned of a request on its way, for the log. */
interface Seen {
  caller?: string | undefined
}

/**
 * A gateway to the jobs and events of a client: `POST /events`, `POST /tasks/{name}`, `GET` and `DELETE /jobs/{id}`,
 * `POST /webhooks/{name}`, `GET /openapi.json`, `/healthz` and `/readyz`. Nothing is accepted (202) before it is durable.
 * @throws ConfigurationError for what is no client, or an option that is not allowed
 */
export function gateway(client: Client<never>, options: GatewayOptions = {}): Gateway {
  const parts = partsOf(client) as ClientParts<any> | undefined
  if (parts === undefined)
    throw new ConfigurationError(
      'gateway(): a client made by createClient() or connect() is expected, of the same copy of the package.',
    )
  const settings = settingsOf(options)
  const { tokens, rateLimit } = options
  const door = createDoor({ tokens, rateLimit, address: settings.address })
  const { session } = parts
  const house: House = {
    parts,
    settings,
    catalogue: createCatalogue(session, settings),
    flow: createFlow(settings),
  }
  const { flow, catalogue } = house
  let requests = 0
  const answers: Record<number, number> = {}
  const badSignatures: Record<string, number> = {}

  const admitted =
    (work: (one: Admitted, c: Context<Env>) => Promise<Response>): Route =>
    (c) => {
      const one = door.admit(c.req.raw, c.env.server)
      c.env.seen.caller = one.caller.name
      return flow.work(() => work(one, c))
    }

  const webhook: Route = (c) => {
    door.pass(c.req.raw, c.env.server)
    const name = c.req.param('name') ?? ''
    const source = settings.webhooks.get(name)
    if (!source) throw new Problem('ERR_NOT_FOUND', 'There is no such webhook.')
    const onBadSignature = (why: string) => {
      const count = (badSignatures[name] = (badSignatures[name] ?? 0) + 1)
      session.log.warn({ webhook: name, why, count }, 'A webhook was refused: its signature does not hold.')
    }
    return flow.work(() => receiveWebhook(house, c.req.raw, { name, source, onBadSignature }))
  }

  async function describe({ caller }: Admitted): Promise<Response> {
    const [tasks, events] = await flow.read(Promise.all([catalogue.tasks(), catalogue.events()]))
    const described = openApi({
      basePath: settings.basePath,
      hasTokens: tokens !== undefined,
      tasks: tasks.filter(({ task }) => caller.mayTask(task.name)),
      events: events.filter(({ name }) => caller.mayEvent(name)),
      takesOthers: !settings.refusesUnknownEvents,
      webhooks: [...settings.webhooks.keys()],
    })
    return json(200, described)
  }

  const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    '/events': { POST: admitted((one) => receiveEvents(house, one)) },
    '/tasks/:name': { POST: admitted((one, c) => enqueueTask(house, one, c.req.param('name')!)) },
    // Ids of copies of events hold a slash, which may come as it is.
    '/jobs/:id{.+}': {
      GET: admitted((one, c) => readJob(house, one, c.req.param('id')!)),
      DELETE: admitted((one, c) => cancelJob(house, one, c.req.param('id')!)),
    },
    '/webhooks/:name': { POST: webhook },
    '/openapi.json': { GET: admitted(describe) },
    '/healthz': { GET: async () => json(200, { status: 'ok' }) },
    '/readyz': { GET: () => readiness(house) },
  }

  const app = new Hono<Env>().basePath(settings.basePath === '' ? '/' : settings.basePath)
  if (settings.cors) {
    const { origins } = settings.cors
    const origin = origins === '*' ? origins : [...origins]
    app.use(cors({ origin, allowMethods: METHODS, exposeHeaders: EXPOSED, maxAge: 600 }))
  }
  app.use(async (c, next) => {
    refuseForeignPages(c.req.raw, settings.cors?.origins)
    await next()
  })
  for (const [path, methods] of Object.entries(routes)) {
    for (const [method, route] of Object.entries(methods)) app.on(method, path, route)
    app.all(path, () => {
      const allow = Object.keys(methods).join(', ')
      throw new Problem('ERR_METHOD_NOT_ALLOWED', `Here you can ${allow}.`, { headers: { allow } })
    })
  }
  app.notFound(() => new Problem('ERR_NOT_FOUND', 'There is nothing here.').response())
  app.onError((error, { req }) => failed(error, req.raw))

  function failed(error: unknown, { method, url }: Request): Response {
    const problem = problemOf(error)
    if (problem) return problem.response()
    session.log.error({ error, method, path: new URL(url).pathname }, 'A request failed.')
    return new Problem('ERR_INTERNAL', 'Something went wrong here. The log of the gateway says what.').response()
  }

  async function handle(request: Request, server?: unknown): Promise<Response> {
    const since = performance.now()
    const seen: Seen = {}
    let response: Response
    try {
      response = await app.fetch(request, { server, seen })
    } catch (error) {
      response = failed(error, request) // Hono passes on what is no Error
    }
    const { status } = response
    requests += 1
    answers[status] = (answers[status] ?? 0) + 1
    const { method, url } = request
    const line = { method, path: new URL(url).pathname, status, ms: Math.round(performance.now() - since) }
    session.log.debug(seen.caller === undefined ? line : { ...line, caller: seen.caller }, 'Request.')
    return response
  }

  return Object.assign(handle, {
    stats: (): GatewayStats => ({
      requests,
      inFlight: flow.inFlight,
      waiting: flow.waiting,
      answers: { ...answers },
      badSignatures: { ...badSignatures },
    }),
    close: () => flow.stop(),
  })
}
