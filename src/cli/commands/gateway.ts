// millrace gateway: jobs and events over HTTP, until it is told to stop.
import type { Command } from 'commander'
import { messageOf } from '../../core/errors.js'
import type { Event } from '../../core/event.js'
import type { GatewayOptions } from '../../http/index.js'
import type { Listening } from '../../http/server.js'
import type { Logger } from '../../observe/log.js'
import { Failure, leave, UsageError } from '../fail.js'
import { duration, list, wholeNumber, type GlobalFlags } from '../flags.js'
import { readTokens, readWebhooks } from '../gateway-files.js'
import { loadWorker, withPlan } from '../load.js'
import { createCliLogger } from '../log.js'
import { print, printJson } from '../print.js'
import { databaseOf, withClient, type Client } from '../target.js'

interface Flags extends GlobalFlags {
  readonly port: number
  readonly host: string
  readonly file?: string
  readonly token?: string[]
  readonly tokensFile?: string
  readonly webhooksFile?: string
  readonly cors?: string[]
  readonly rateLimit?: number
  readonly timeout?: number
  readonly grace?: number
}

const TIMEOUT = 10_000
const GRACE = 25_000
/** The store's own answer, which says whether anything was kept, comes before the gateway gives up on it. */
const LONGER_THAN_STORE = 5_000

export function addGateway(program: Command): void {
  program
    .command('gateway')
    .description('Take jobs, events and webhooks over HTTP, until SIGTERM or SIGINT.')
    .option('--port <port>', 'where to listen; 0: any that is free', wholeNumber('--port', 0, 65_535), 8787)
    .option('--host <host>', 'on which address to listen; any but loopback needs tokens', '127.0.0.1')
    .option('--file <worker>', "use the tasks' own code in this worker file rather than what the store knows of them")
    .option(
      '--token <secret>',
      'a token that allows everything (other processes see it: prefer a file)',
      list('--token'),
    )
    .option('--tokens-file <file>', 'tokens with their scopes, as a JSON list')
    .option('--webhooks-file <file>', 'sources of webhooks with their secrets, as a JSON object')
    .option('--cors <origin>', 'pages of this origin may call it', list('--cors'))
    .option(
      '--rate-limit <n>',
      'requests a second for each token or address, 0: no limit (default: 1000)',
      wholeNumber('--rate-limit', 0, 1_000_000),
    )
    .option('--timeout <duration>', 'how long the store may take (default: 10s)', duration('--timeout'))
    .option('--grace <duration>', 'how long requests may go on after a signal (default: 25s)', duration('--grace'))
    .addHelpText(
      'after',
      `
Tokens also come from MILLRACE_GATEWAY_TOKENS: a JSON list as in the file, or secrets with commas between them.
With --verbose it logs a line for each request.

Examples:
  $ millrace gateway --url sqlite:jobs.db
  $ millrace gateway --host 0.0.0.0 --tokens-file tokens.json --webhooks-file webhooks.json
  $ curl -X POST localhost:8787/tasks/greet --json '{"name":"Ada"}'`,
    )
    .action((_own: Flags, command: Command) => serve(command.optsWithGlobals<Flags>()))
}

async function serve(flags: Flags): Promise<void> {
  const worker = flags.file === undefined ? undefined : await loadWorker(flags.file)
  const options = await optionsOf(flags)
  const log = createCliLogger({ level: flags.verbose ? 'debug' : 'info', json: flags.json ?? false })
  await withClient(flags, { create: true, log, publishTimeout: flags.timeout ?? TIMEOUT }, async (client) => {
    if (!worker) return run(client, options, flags, log)
    return withPlan(worker, async (plan) => {
      const { tasksOf } = await import('../../worker/define.js')
      const events = [...plan.handlers.values()].flatMap(({ subscription }) => subscription?.events ?? [])
      const own = { tasks: tasksOf(plan), events: unique(events), unknownEvents: 'accept' } as const
      return run(client, { ...options, ...own }, flags, log)
    })
  })
}

/** @throws UsageError for a gateway that anybody on the network could use */
async function optionsOf(flags: Flags): Promise<GatewayOptions> {
  const { isLoopback } = await import('../../http/server.js')
  const tokens = readTokens(flags)
  if (tokens === undefined && !isLoopback(flags.host))
    throw new UsageError(
      `--host ${flags.host} can be reached from other machines, so tokens are needed. Give --tokens-file FILE, or set MILLRACE_GATEWAY_TOKENS; or leave --host out and put it behind a proxy on this machine.`,
    )
  return {
    ...(tokens !== undefined && { tokens }),
    ...(flags.cors !== undefined && { cors: { origins: flags.cors[0] === '*' ? '*' : flags.cors } }),
    ...(flags.rateLimit !== undefined && { rateLimit: flags.rateLimit === 0 ? false : { perSecond: flags.rateLimit } }),
    webhooks: await readWebhooks(flags.webhooksFile),
    timeout: (flags.timeout ?? TIMEOUT) + LONGER_THAN_STORE,
  }
}

async function run(client: Client, options: GatewayOptions, flags: Flags, log: Logger): Promise<void> {
  const [{ gateway }, { listen }] = await Promise.all([import('../../http/index.js'), import('../../http/server.js')])
  const handle = gateway(client, options)
  const told = listenForSignals(log)
  let server: Listening
  try {
    server = await listen(handle, { host: flags.host, port: flags.port, open: options.tokens === undefined })
  } catch (error) {
    throw new Failure(whyNot(flags, error), { cause: error })
  }
  announce(server, options, flags)
  await told.first
  log.info('Stopping: no new requests, and those under way are answered.')
  void told.second.then(() => server.stop(0))
  await server.stop(flags.grace ?? GRACE)
  const { requests, badSignatures } = handle.stats()
  log.info({ requests, badSignatures }, 'Gateway stopped.')
}

function announce({ url, port }: Listening, { tokens, webhooks }: GatewayOptions, flags: Flags): void {
  const database = databaseOf(flags)
  const sources = Object.keys(webhooks ?? {})
  if (flags.json)
    return printJson({
      url,
      host: flags.host,
      port,
      database,
      tokens: tokens?.length ?? 0,
      webhooks: sources,
      pid: process.pid,
    })
  const who = tokens === undefined ? 'anybody on this machine may use it' : `${tokens.length} tokens`
  print(`Listening on ${url} for ${database}; ${who}.`)
}

/** Two signals to be waited for: stop, and hurry. A third one ends the process. */
function listenForSignals(log: Logger): { readonly first: Promise<void>; readonly second: Promise<void> } {
  const heard: (() => void)[] = []
  const next = () => new Promise<void>((resolve) => heard.push(resolve))
  const [first, second] = [next(), next()]
  const onSignal = (signal: NodeJS.Signals) => {
    const tell = heard.shift()
    if (tell) return tell()
    log.error({ signal }, 'Leaving at once.')
    leave(1)
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  return { first, second }
}

function whyNot({ host, port }: Flags, error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  const where = `${host}:${port}`
  if (code === 'EADDRINUSE') return `${where} is taken by another program. Give --port another number, or 0 for any.`
  if (code === 'EACCES') return `${where}: this user may not listen there. Take a port from 1024 on.`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `${host} is no address of this machine.`
  return `Cannot listen on ${where}: ${messageOf(error)}`
}

function unique(events: readonly Event[]): readonly Event[] {
  return [...new Map(events.map((event) => [event.name, event])).values()]
}
