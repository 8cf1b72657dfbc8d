// Errors on their way from the thread to the front: what is thrown there is made again here, class, code and all.
import {
  BrokerUnavailableError,
  ClientClosedError,
  ConfigurationError,
  JobConflictError,
  errorFrom,
  toJobError,
  type JobError,
} from '../../core/errors.js'
import type { Reply } from './protocol.js'

/** An error as plain data. */
export interface Packed {
  readonly error: JobError
  readonly fields: Readonly<Record<string, unknown>>
  readonly cause?: JobError
}

const FIELDS = ['outcome', 'id', 'holder', 'code', 'errcode'] as const

export function packError(thrown: unknown): Packed {
  const from = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as Record<string, unknown>
  const fields = Object.fromEntries(FIELDS.filter((key) => key in from).map((key) => [key, from[key]]))
  const cause = from['cause'] === undefined ? {} : { cause: toJobError(from['cause'], 0) }
  return { error: toJobError(thrown, 0), fields, ...cause }
}

export function unpackError({ error, fields, cause: packed }: Packed): Error {
  const { message } = error
  const cause = packed && errorFrom(packed)
  const options = cause === undefined ? undefined : { cause }
  const text = (key: string) => String(fields[key])
  switch (error.code) {
    case 'ERR_BROKER_UNAVAILABLE':
      return new BrokerUnavailableError(message, { outcome: fields['outcome'] as 'not-sent' | 'unknown', cause })
    case 'ERR_CONFIGURATION':
      return new ConfigurationError(message, options)
    case 'ERR_JOB_CONFLICT':
      return new JobConflictError(message, { id: text('id'), holder: text('holder') })
    case 'ERR_CLIENT_CLOSED':
      return new ClientClosedError(message)
    default:
      return Object.assign(errorFrom(error), fields)
  }
}

/** A reply whose every error is replaced: packed on one side, unpacked on the other. */
export function mapErrors(reply: Reply, change: (error: unknown) => unknown): Reply {
  if (reply.failures === undefined && reply.acked === undefined) return reply
  return {
    ...reply,
    ...(reply.failures && { failures: reply.failures.map(([n, error]) => [n, change(error)] as const) }),
    ...(reply.acked && {
      acked: reply.acked.map(([n, lost, error]) => [n, lost, error === undefined ? undefined : change(error)] as const),
    }),
  }
}
