// What `millrace gateway` reads besides its flags: tokens, and the sources of webhooks with their secrets.
import { readFileSync } from 'node:fs'
import { messageOf } from '../core/errors.js'
import type { GatewayToken, Scope, WebhookSource } from '../http/index.js'
import { UsageError } from './fail.js'

const EVERYTHING: readonly Scope[] = ['publish', 'enqueue', 'read', 'cancel']
const ENV = 'MILLRACE_GATEWAY_TOKENS'

/**
 * All tokens of `--token`, `--tokens-file` and MILLRACE_GATEWAY_TOKENS; `undefined` when there are none of these.
 * @throws UsageError for a file that cannot be read; what is in a token is checked by the gateway
 */
export function readTokens(o: {
  readonly token?: readonly string[] | undefined
  readonly tokensFile?: string | undefined
}): readonly GatewayToken[] | undefined {
  const inEnv = process.env[ENV] ?? ''
  if (o.token === undefined && o.tokensFile === undefined && inEnv === '') return undefined
  return [
    ...(o.token ?? []).map((token, i) => ({ name: `token-${i + 1}`, token, scopes: EVERYTHING })),
    ...(o.tokensFile === undefined
      ? []
      : tokensIn(`--tokens-file ${o.tokensFile}`, readText('--tokens-file', o.tokensFile))),
    ...(inEnv === '' ? [] : tokensOfEnvironment(inEnv)),
  ]
}

/** A JSON list of tokens, or secrets with commas between them, each of which allows everything. */
function tokensOfEnvironment(text: string): readonly GatewayToken[] {
  if (text.trimStart().startsWith('[')) return tokensIn(ENV, text)
  return text.split(',').map((token, i) => ({ name: `env-${i + 1}`, token: token.trim(), scopes: EVERYTHING }))
}

function tokensIn(where: string, text: string): readonly GatewayToken[] {
  const list = jsonIn(where, text)
  if (Array.isArray(list)) return list as readonly GatewayToken[]
  throw new UsageError(`${where}: a JSON list of tokens is expected: [{ "name", "token" or "sha256", "scopes" }, …].`)
}

const SCHEMES = ['github', 'stripe', 'slack', 'standard'] as const
const KEYS = ['scheme', 'secret', 'secretEnv', 'event']

/** @throws UsageError for a file or a source that is not as it should be */
export async function readWebhooks(file: string | undefined): Promise<Readonly<Record<string, WebhookSource>>> {
  if (file === undefined) return {}
  const where = `--webhooks-file ${file}`
  const given = jsonIn(where, readText('--webhooks-file', file))
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new UsageError(`${where}: a JSON object is expected: { "github": { "scheme": "github", "secretEnv": "…" } }.`)
  const { github, slack, standardWebhooks, stripe } = await import('../http/index.js')
  const makers = { github, stripe, slack, standard: standardWebhooks }
  const sources = Object.entries(given as Record<string, unknown>).map(([name, one]): [string, WebhookSource] => {
    const { scheme, secret, secretEnv, event, ...stray } = (one ?? {}) as Record<string, unknown>
    const here = `${where}: "${name}"`
    const [unknown] = Object.keys(stray)
    if (unknown !== undefined)
      throw new UsageError(`${here}: there is no member "${unknown}". The members are: ${KEYS.join(', ')}.`)
    const known = SCHEMES.find((each) => each === scheme)
    if (known === undefined) throw new UsageError(`${here}: "scheme" is one of ${SCHEMES.join(', ')}.`)
    if ((secret === undefined) === (secretEnv === undefined))
      throw new UsageError(`${here}: give "secret", or "secretEnv" with the name of an environment variable.`)
    const options = {
      secret: (secret ?? secretsOf(here, secretEnv)) as string | string[],
      ...(event !== undefined && { event: event as string }),
    }
    return [name, makers[known](options)]
  })
  return Object.fromEntries(sources)
}

/** Several while one replaces the other, with commas between them. */
function secretsOf(here: string, variable: unknown): readonly string[] {
  const value = typeof variable === 'string' ? process.env[variable] : undefined
  if (value !== undefined && value !== '') return value.split(',').map((one) => one.trim())
  throw new UsageError(`${here}: the environment variable ${String(variable)} is not set.`)
}

function readText(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${flag}: ${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

/** The text itself is in no message: it holds secrets. */
function jsonIn(where: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(`${where} is no JSON.`, { cause: error })
  }
}
