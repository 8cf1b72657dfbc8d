// Bearer tokens: who may do what. A token is compared by its hash, in constant time, with every one that is known.
import { createHash, timingSafeEqual } from 'node:crypto'
import { checkEventName } from '../core/event.js'
import { ConfigurationError, shown } from '../core/errors.js'
import { checkName } from '../core/name.js'
import { checkPattern, matchesPattern } from '../core/pattern.js'
import { refuseUnknown } from '../core/task.js'
import { Problem } from './problem.js'

/** What a token allows: `POST /events`, `POST /tasks/…`, `GET /jobs/…`, `DELETE /jobs/…`. */
export type Scope = 'publish' | 'enqueue' | 'read' | 'cancel'
const SCOPES: readonly Scope[] = ['publish', 'enqueue', 'read', 'cancel']

/** Somebody who may use the gateway. */
export interface GatewayToken {
  /** Who it is, for the log and the rate limit; unique. 1 to 100 letters, digits and `. _ : -`. */
  name: string
  /** The secret itself, at least 16 characters. Give this or `sha256`. */
  token?: string
  /** SHA-256 of the secret, 64 hexadecimal digits, so that the secret is in no file. Give this or `token`. */
  sha256?: string
  scopes: readonly Scope[]
  /** Names of the tasks whose jobs it may enqueue, read and cancel; default all. */
  tasks?: readonly string[]
  /** Names or patterns (`order.#`) of the events it may publish; default all. */
  events?: readonly string[]
}

/** Who makes a request. */
export interface Caller {
  /** `undefined` where no tokens are configured. */
  readonly name: string | undefined
  /** @throws Problem 403 */
  needs(scope: Scope): void
  mayTask(name: string): boolean
  mayEvent(name: string): boolean
}

const SHORTEST = 16

/** Finds the caller of a request, or answers why there is none: 401. */
export type Authenticate = (authorization: string | null) => Caller | Problem

/** Everybody, where no tokens are configured: fit for loopback only. */
const ANYBODY: Caller = { name: undefined, needs() {}, mayTask: () => true, mayEvent: () => true }

/** @throws ConfigurationError for a token that is not allowed, or an empty list: that would lock out everybody or nobody */
export function createAuthenticate(tokens: readonly GatewayToken[] | undefined): Authenticate {
  if (tokens === undefined) return () => ANYBODY
  if (!Array.isArray(tokens) || tokens.length === 0)
    throw new ConfigurationError(
      'tokens: give a list with at least one token, or leave it out where anybody may do anything.',
    )
  const known = tokens.map((token, i) => knownToken(token, `tokens[${i}]`))
  const names = known.map(({ caller }) => caller.name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new ConfigurationError(`tokens: the name "${twice}" is there twice.`)
  return (authorization) => {
    const [, secret] = /^Bearer +([^\s]+)$/i.exec(authorization ?? '') ?? []
    if (secret === undefined)
      return unauthorized('Give a token: Authorization: Bearer TOKEN.', 'Bearer realm="millrace"')
    const hash = sha256(secret)
    let found: Caller | undefined
    for (const { hash: own, caller } of known) if (timingSafeEqual(own, hash)) found = caller // no early end
    if (found) return found
    return unauthorized('This token is not known here.', 'Bearer realm="millrace", error="invalid_token"')
  }
}

function unauthorized(detail: string, challenge: string): Problem {
  return new Problem('ERR_UNAUTHORIZED', detail, { headers: { 'www-authenticate': challenge } })
}

function knownToken(given: GatewayToken, where: string): { readonly hash: Buffer; readonly caller: Caller } {
  if (typeof given !== 'object' || given === null)
    throw new ConfigurationError(`${where}: ${typeof given} is no token. Give { name, token, scopes }.`)
  refuseUnknown(where, given, ['name', 'token', 'sha256', 'scopes', 'tasks', 'events'])
  const name = checkName(`${where}: the name`, given.name)
  const scopes = new Set(listOf(given.scopes, `${where}.scopes`))
  const stray = [...scopes].find((scope) => !SCOPES.includes(scope as Scope))
  if (stray !== undefined || scopes.size === 0)
    throw new ConfigurationError(
      `${where}.scopes: ${stray === undefined ? 'the list is empty' : `there is no ${shown(stray)}`}. Choose from ${SCOPES.join(', ')}.`,
    )
  const tasks = given.tasks && new Set(listOf(given.tasks, `${where}.tasks`))
  for (const task of tasks ?? []) checkName(`${where}.tasks: the task name`, task)
  const events = given.events && listOf(given.events, `${where}.events`)
  for (const event of events ?? []) if (/[*#]/.test(event)) checkPattern(event)
  for (const event of events ?? []) if (!/[*#]/.test(event)) checkEventName(event)
  return {
    hash: hashOf(given, where),
    caller: {
      name,
      needs(scope) {
        if (scopes.has(scope)) return
        throw new Problem('ERR_FORBIDDEN', `The token "${name}" does not have the scope "${scope}".`, {
          headers: {
            'www-authenticate': `Bearer realm="millrace", error="insufficient_scope", scope="${scope}"`,
          },
        })
      },
      mayTask: (task) => tasks?.has(task) ?? true,
      mayEvent: (event) => events?.some((pattern) => matchesPattern(pattern, event)) ?? true,
    },
  }
}

function hashOf({ token, sha256: hash }: GatewayToken, where: string): Buffer {
  if ((token === undefined) === (hash === undefined))
    throw new ConfigurationError(`${where}: give the secret as \`token\`, or its hash as \`sha256\`, and not both.`)
  if (hash !== undefined) {
    if (typeof hash === 'string' && /^[0-9a-f]{64}$/i.test(hash)) return Buffer.from(hash, 'hex')
    throw new ConfigurationError(`${where}.sha256: this is no hash of 64 hexadecimal digits.`)
  }
  // The secret is never in a message.
  if (typeof token !== 'string' || token.length < SHORTEST || /\s/.test(token))
    throw new ConfigurationError(
      `${where}.token: use at least ${SHORTEST} characters without spaces, for example from \`openssl rand -hex 32\`.`,
    )
  return sha256(token)
}

function listOf(list: unknown, where: string): readonly string[] {
  if (Array.isArray(list) && list.every((one) => typeof one === 'string')) return list
  throw new ConfigurationError(`${where}: ${shown(list)} is no list of names.`)
}

const sha256 = (text: string) => createHash('sha256').update(text).digest()
