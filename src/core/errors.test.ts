// Tests of the error tree: each class with its code, message and fields, and docs/errors.md against the source.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as errors from './errors.js'
import { hasCode, messageOf, MillraceError, type JobError } from './errors.js'

const source = readFileSync(new URL('./errors.ts', import.meta.url), 'utf8')
const codes = [...new Set(source.match(/\bERR_[A-Z]+(_[A-Z]+)*\b/g))].sort()
const cause = new RangeError('why')
const last: JobError = {
  name: 'TypeError',
  message: 'x is not a function',
  stack: 'TypeError: x\n  at y',
  code: 'E1',
  at: 5,
}

const TREE: { name: string; made: MillraceError; code: string; message: string; fields?: object; cause?: unknown }[] = [
  {
    name: 'ValidationError',
    made: new errors.ValidationError('Bad.', [{ path: '$.a', message: 'no' }], { cause }),
    code: 'ERR_VALIDATION',
    message: 'Bad.',
    fields: { issues: [{ path: '$.a', message: 'no' }] },
    cause,
  },
  {
    name: 'PayloadTooLargeError',
    made: new errors.PayloadTooLargeError('The input', 11, 10),
    code: 'ERR_PAYLOAD_TOO_LARGE',
    message: 'The input is 11 bytes of JSON; the limit is 10. Store the data elsewhere and send a reference to it.',
    fields: { bytes: 11, limit: 10 },
  },
  {
    name: 'BrokerUnavailableError',
    made: new errors.BrokerUnavailableError('Away.', { outcome: 'unknown', ids: ['1', '2'], cause }),
    code: 'ERR_BROKER_UNAVAILABLE',
    message: 'Away.',
    fields: { outcome: 'unknown', ids: ['1', '2'] },
    cause,
  },
  {
    name: 'UnsupportedError',
    made: new errors.UnsupportedError('Add a store.'),
    code: 'ERR_UNSUPPORTED',
    message: 'Add a store.',
  },
  {
    name: 'ConfigurationError',
    made: new errors.ConfigurationError('Wrong.', { cause }),
    code: 'ERR_CONFIGURATION',
    message: 'Wrong.',
    cause,
  },
  {
    name: 'ClientClosedError',
    made: new errors.ClientClosedError(),
    code: 'ERR_CLIENT_CLOSED',
    message: 'This client is closed. Create a new one with createClient() or connect().',
  },
  {
    name: 'JobNotFoundError',
    made: new errors.JobNotFoundError('j1'),
    code: 'ERR_JOB_NOT_FOUND',
    message: 'No job has the id "j1". It never existed, or it was removed after its retention.',
    fields: { id: 'j1' },
  },
  {
    name: 'JobConflictError',
    made: new errors.JobConflictError('Held.', { id: 'j1', holder: 'j2' }),
    code: 'ERR_JOB_CONFLICT',
    message: 'Held.',
    fields: { id: 'j1', holder: 'j2' },
  },
  {
    name: 'JobFailedError',
    made: new errors.JobFailedError('j1', 'mail.send', 'failed', last),
    code: 'ERR_JOB_FAILED',
    message: 'Job j1 of task "mail.send" is dead (failed): TypeError: x is not a function',
    fields: { id: 'j1', reason: 'failed' },
    cause: expect.objectContaining({ name: 'TypeError', message: last.message, stack: last.stack, code: 'E1' }),
  },
  {
    name: 'JobCancelledError',
    made: new errors.JobCancelledError('j1'),
    code: 'ERR_JOB_CANCELLED',
    message: 'Job j1 was cancelled.',
    fields: { id: 'j1' },
  },
  {
    name: 'JobTimeoutError',
    made: new errors.JobTimeoutError('mail.send', 500),
    code: 'ERR_JOB_TIMEOUT',
    message:
      'The handler of "mail.send" ran longer than its timeout of 500 ms. Raise the task\'s `timeout`, or listen to ctx.signal and stop.',
    fields: { timeout: 500 },
  },
  {
    name: 'ResultTimeoutError',
    made: new errors.ResultTimeoutError('j1', 60),
    code: 'ERR_RESULT_TIMEOUT',
    message: 'Job j1 has not finished within 60 ms. It is still queued or running.',
    fields: { id: 'j1' },
  },
  {
    name: 'WorkerStoppingError',
    made: new errors.WorkerStoppingError(),
    code: 'ERR_WORKER_STOPPING',
    message: 'The worker is stopping and its grace is over. The job is given back and runs again.',
  },
  {
    name: 'LeaseLostError',
    made: new errors.LeaseLostError('j1', 3),
    code: 'ERR_LEASE_LOST',
    message: 'Run 3 of job j1 no longer owns the job, so nothing was written.',
    fields: { id: 'j1', run: 3 },
  },
  {
    name: 'AlreadySettledError',
    made: new errors.AlreadySettledError('j1', 3),
    code: 'ERR_ALREADY_SETTLED',
    message: 'Run 3 of job j1 was settled before. Each delivery is settled once.',
  },
  {
    name: 'NonRetryableError',
    made: new errors.NonRetryableError('No use.', { cause }),
    code: 'ERR_NON_RETRYABLE',
    message: 'No use.',
    cause,
  },
  {
    name: 'RetryLaterError',
    made: new errors.RetryLaterError('30s', undefined, { cause }),
    code: 'ERR_RETRY_LATER',
    message: 'Not now; again after 30s.',
    fields: { delay: '30s' },
    cause,
  },
]

describe('the error tree', () => {
  it.each(TREE)('$name has its code, message and fields', ({ name, made, code, message, fields = {}, cause: why }) => {
    expect(made).toBeInstanceOf(MillraceError)
    expect(made).toBeInstanceOf(Error)
    expect(made.constructor.name).toBe(name)
    expect({ ...made }).toEqual({ code, name, ...fields })
    expect(made.message).toBe(message)
    expect(made.cause).toEqual(why)
    expect(made.stack).toContain(message)
  })

  it('is all in the table above, one code for each class', () => {
    expect(TREE.map(({ code }) => code).sort()).toEqual(codes)
    const classes = Object.entries(errors).filter(([, value]) => Object.getPrototypeOf(value) === MillraceError)
    expect(classes.map(([name]) => name).sort()).toEqual(TREE.map(({ name }) => name).sort())
  })

  it('has defaults for what may be left out', () => {
    expect(new errors.ValidationError('x').issues).toEqual([])
    expect(new errors.ClientClosedError('Gone.').message).toBe('Gone.')
    expect(new errors.RetryLaterError(5, 'Busy.')).toMatchObject({ message: 'Busy.', delay: 5 })
    const away = new errors.BrokerUnavailableError('Away.', { outcome: 'not-sent' })
    expect(away).toMatchObject({ outcome: 'not-sent', ids: [] })
    expect('cause' in away).toBe(false)
  })

  it('tells a dead job without a stored error by its reason alone', () => {
    const error = new errors.JobFailedError('j1', 'x', 'expired', undefined)
    expect(error.message).toBe('Job j1 of task "x" is dead (expired)')
    expect(error.cause).toBe(undefined)
  })
})

describe('hasCode', () => {
  it('knows our errors by their code, also those of another copy of the package', () => {
    expect(TREE.filter(({ made, code }) => !hasCode(made, code))).toEqual([])
    for (const error of [new errors.JobNotFoundError('j1'), { code: 'ERR_JOB_NOT_FOUND' }]) {
      expect(hasCode(error, 'ERR_JOB_NOT_FOUND')).toBe(true)
      expect(hasCode(error, 'ERR_JOB_FAILED')).toBe(false)
    }
  })

  it.each([undefined, null, 'ERR_JOB_FAILED', 5, {}, { code: 5 }, { code: 'ENOENT' }, new Error('ERR_JOB_FAILED')])(
    'does not take %o for one of ours',
    (value) => {
      expect(hasCode(value, 'ERR_JOB_FAILED')).toBe(false)
    },
  )
})

describe('messageOf', () => {
  it('is the message of an error and the text of anything else', () => {
    expect(messageOf(new TypeError('no'))).toBe('no')
    expect(['no', 5, null, undefined, Symbol('s')].map(messageOf)).toEqual([
      'no',
      '5',
      'null',
      'undefined',
      'Symbol(s)',
    ])
  })

  it('never throws', () => {
    expect(typeof messageOf(Object.create(null))).toBe('string')
  })
})

describe('docs/errors.md', () => {
  it('has a line for every code and names none that does not exist', () => {
    const docs = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    expect([...new Set(docs.match(/\bERR_[A-Z]+(_[A-Z]+)*\b/g))].sort()).toEqual(codes)
  })
})
