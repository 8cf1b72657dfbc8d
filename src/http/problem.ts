// What is answered when a request cannot be done: RFC 9457 problem details, with nothing of our inside in them.
// Source: https://www.rfc-editor.org/rfc/rfc9457
import { hasCode, type BrokerUnavailableError, type Issue } from '../core/errors.js'
import { ALWAYS } from './answer.js'

/** Every code of a problem, with the status it is answered with. docs/guides/gateway.md says what each means. */
export const PROBLEMS = {
  ERR_BAD_REQUEST: 400,
  ERR_BAD_EVENT: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_BAD_SIGNATURE: 401,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_TASK_NOT_FOUND: 404,
  ERR_JOB_NOT_FOUND: 404,
  ERR_METHOD_NOT_ALLOWED: 405,
  ERR_REQUEST_TIMEOUT: 408,
  ERR_JOB_CONFLICT: 409,
  ERR_JOB_FINISHED: 409,
  ERR_PAYLOAD_TOO_LARGE: 413,
  ERR_MEDIA_TYPE: 415,
  ERR_HOST: 421,
  ERR_VALIDATION: 422,
  ERR_IDEMPOTENCY_KEY: 422,
  ERR_RATE_LIMITED: 429,
  ERR_INTERNAL: 500,
  ERR_UNSUPPORTED: 501,
  ERR_BROKER_UNAVAILABLE: 503,
  ERR_OVERLOADED: 503,
  ERR_STOPPING: 503,
} as const

export type ProblemCode = keyof typeof PROBLEMS

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
}

/** Further members of a problem. */
interface More {
  readonly issues?: readonly Issue[]
  /** Of a write that was not confirmed: `not-sent` if nothing was kept, `unknown` if it may have been. */
  readonly outcome?: 'not-sent' | 'unknown'
}

/** Thrown wherever a request turns out to be one that cannot be done; `gateway` answers with it. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly more: More
  readonly headers: Readonly<Record<string, string>>

  /** @param detail one or two sentences for whoever made the request */
  constructor(code: ProblemCode, detail: string, o: More & { headers?: Readonly<Record<string, string>> } = {}) {
    super(detail)
    const { headers = {}, ...more } = o
    this.code = code
    this.status = PROBLEMS[code]
    this.more = more
    this.headers = headers
  }

  response(): Response {
    const body = {
      type: 'about:blank', // the title is that of the status, and `code` tells problems of one status apart
      title: TITLES[this.status],
      status: this.status,
      detail: this.message,
      code: this.code,
      ...this.more,
    }
    return new Response(JSON.stringify(body), {
      status: this.status,
      headers: { 'content-type': 'application/problem+json', ...ALWAYS, ...this.headers },
    })
  }
}

/** Seconds after which a caller may try again when the store was away. */
const STORE_RETRY = '2'

/** A look that the store did not answer in time. */
export function unanswered(): Problem {
  return new Problem('ERR_BROKER_UNAVAILABLE', 'The store did not answer in time. Try again later.', {
    headers: { 'retry-after': STORE_RETRY },
  })
}

/** A write that was not confirmed. */
export function unavailable(outcome: 'not-sent' | 'unknown'): Problem {
  const detail =
    outcome === 'not-sent'
      ? 'The store did not take it, so nothing was kept. Try again later.'
      : 'The store did not answer in time, so it may have been kept or not. Send it again with the same id or Idempotency-Key: that is safe.'
  return new Problem('ERR_BROKER_UNAVAILABLE', detail, { outcome, headers: { 'retry-after': STORE_RETRY } })
}

/** The problem that an error of the library is for the caller; `undefined` for errors that are none of their business. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error
  if (hasCode(error, 'ERR_VALIDATION')) {
    const { issues } = error as { issues?: readonly Issue[] }
    return new Problem('ERR_VALIDATION', error.message, { issues: issues ?? [] })
  }
  if (hasCode(error, 'ERR_PAYLOAD_TOO_LARGE')) return new Problem('ERR_PAYLOAD_TOO_LARGE', error.message)
  if (hasCode(error, 'ERR_JOB_NOT_FOUND')) return new Problem('ERR_JOB_NOT_FOUND', error.message)
  if (hasCode(error, 'ERR_JOB_CONFLICT')) return new Problem('ERR_JOB_CONFLICT', 'This id belongs to another job.')
  if (hasCode(error, 'ERR_UNSUPPORTED')) return new Problem('ERR_UNSUPPORTED', error.message)
  if (hasCode(error, 'ERR_BROKER_UNAVAILABLE'))
    return unavailable((error as Partial<BrokerUnavailableError>).outcome ?? 'unknown') // its message names the file
  if (hasCode(error, 'ERR_CLIENT_CLOSED')) return stopping()
  return undefined
}

/** The gateway or its client is closing. */
export function stopping(): Problem {
  return new Problem('ERR_STOPPING', 'The gateway is stopping, and nothing was kept. Try again.', {
    headers: { 'retry-after': '1', connection: 'close' },
  })
}
