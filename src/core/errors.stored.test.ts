// Tests of errors as they are stored with a job: anything may be thrown, at most 4 KiB of text is kept.
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KEPT_ERRORS, errorFrom, NonRetryableError, toJobError, type JobError } from './errors.js'

const AT = 1_700_000_000_000

function textIn(stored: JobError): number {
  return Object.values(stored).reduce<number>((sum, part) => sum + (typeof part === 'string' ? part.length : 0), 0)
}

describe('toJobError', () => {
  it('keeps name, message, stack and code', () => {
    const error = new NonRetryableError('no use')
    expect(toJobError(error, AT)).toStrictEqual({
      name: 'NonRetryableError',
      message: 'no use',
      stack: error.stack,
      code: 'ERR_NON_RETRYABLE',
      at: AT,
    })
  })

  it('keeps a code only when it is text', () => {
    expect(toJobError(Object.assign(new Error('x'), { code: 5 }), AT)).not.toHaveProperty('code')
    expect(toJobError(Object.assign(new Error('x'), { code: 'ENOENT' }), AT).code).toBe('ENOENT')
  })

  it('leaves the stack out when there is none, and names an error without a name', () => {
    const error = Object.assign(new Error('x'), { name: '', stack: undefined })
    expect(toJobError(error, AT)).toStrictEqual({ name: 'Error', message: 'x', at: AT })
  })

  it('adds the cause to the stack', () => {
    const cause = new RangeError('deeper')
    const error = Object.assign(new Error('x', { cause }), { stack: 'Error: x\n  at y' })
    expect(toJobError(error, AT).stack).toBe(`Error: x\n  at y\nCaused by: ${cause.stack}`)
    delete cause.stack
    Object.assign(cause, { stack: undefined })
    expect(toJobError(error, AT).stack).toBe('Error: x\n  at y\nCaused by: RangeError: deeper')
    expect(toJobError(Object.assign(new Error('x', { cause: 'text' }), { stack: 'S' }), AT).stack).toBe('S')
  })

  it.each([
    ['text', 'text'],
    ['', ''],
    [null, 'A value that is no Error was thrown: null'],
    [undefined, 'A value that is no Error was thrown: undefined'],
    [5, 'A value that is no Error was thrown: 5'],
    [{ a: [1] }, 'A value that is no Error was thrown: {"a":[1]}'],
    [Symbol('s'), 'A value that is no Error was thrown: Symbol(s)'],
  ])('tells %o that was thrown', (thrown, message) => {
    expect(toJobError(thrown, AT)).toMatchObject({ name: 'Error', message, at: AT })
  })

  it('tells what has no JSON without failing itself', () => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const hostile = { toJSON: () => expect.fail('toJSON failed') }
    for (const thrown of [circular, hostile, 5n])
      expect(toJobError(thrown, AT).message).toMatch(/^A value that is no Error was thrown/)
  })

  it('keeps the beginning of each part when there is too much', () => {
    const error = new Error(`message ${'m'.repeat(1e6)}`)
    Object.assign(error, {
      name: `Name${'n'.repeat(1e6)}`,
      stack: `stack ${'s'.repeat(1e6)}`,
      code: `CODE${'c'.repeat(1e6)}`,
    })
    const stored = toJobError(error, AT)
    expect(stored.name).toBe(`Name${'n'.repeat(96)}`)
    expect(stored.message).toBe(`message ${'m'.repeat(1492)}`)
    expect(stored.stack).toBe(`stack ${'s'.repeat(2390)}`)
    expect(stored.code).toBe(`CODE${'c'.repeat(96)}`)
    expect(textIn(stored)).toBe(4096)
  })

  it('bounds the cause too', () => {
    const cause = new Error('x'.repeat(1e6))
    expect(textIn(toJobError(new Error('y', { cause }), AT))).toBeLessThanOrEqual(4096)
  })

  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
  })
  const long = fc
    .tuple(fc.string({ minLength: 1, unit: 'binary' }), fc.constantFrom(1, 100, 10_000))
    .map(([text, times]) => text.repeat(times))

  it('keeps at most 4 KiB of text in plain fields, whatever was thrown', () => {
    const strange = fc
      .record({
        name: long,
        message: long,
        stack: fc.option(long, { nil: undefined }),
        code: fc.oneof(long, anything),
        cause: anything,
      })
      .map((fields) => Object.assign(new Error(), fields))
    fc.assert(
      fc.property(fc.oneof(anything, long, strange), fc.maxSafeNat(), (thrown, at) => {
        const stored = toJobError(thrown, at)
        expect(textIn(stored)).toBeLessThanOrEqual(4096)
        expect(stored.at).toBe(at)
        expect(stored.name).not.toBe('')
        expect(JSON.parse(JSON.stringify(stored))).toStrictEqual(stored)
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['a message that throws', Object.defineProperty(new Error(), 'message', { get: () => expect.fail('getter') })],
    ['a stack that throws', Object.defineProperty(new Error('x'), 'stack', { get: () => expect.fail('getter') })],
    [
      'a cause that throws',
      new Error('x', { cause: Object.defineProperty(new Error(), 'stack', { get: () => expect.fail('getter') }) }),
    ],
    ['a message without text', Object.assign(new Error(), { message: Object.create(null) })],
    ['a stack without text', Object.assign(new Error('x'), { stack: Symbol('s') })],
  ])('takes an error with %s', (_name, error) => {
    expect(toJobError(error, AT)).toMatchObject({ name: 'Error', at: AT })
  })

  it('takes a revoked proxy', () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(toJobError(proxy, AT)).toMatchObject({ name: 'Error', at: AT })
  })

  it('keeps name and message of an error from another realm', () => {
    expect(toJobError(runInNewContext('new TypeError("deep")'), AT)).toMatchObject({
      name: 'TypeError',
      message: 'deep',
    })
  })
})

describe('errorFrom', () => {
  it('makes an error that is stored the same again', () => {
    const error = Object.assign(new TypeError('bad', { cause: new Error('why') }), { code: 'E_BAD' })
    const stored = toJobError(error, AT)
    const made = errorFrom(stored)
    expect(made).toBeInstanceOf(Error)
    expect(made).toMatchObject({ name: 'TypeError', message: 'bad', code: 'E_BAD', stack: stored.stack })
    expect(toJobError(made, AT)).toStrictEqual(stored)
  })

  it('needs neither stack nor code', () => {
    const made = errorFrom({ name: 'Oops', message: 'bad', at: AT })
    expect(String(made)).toBe('Oops: bad')
    expect(made).not.toHaveProperty('code')
    expect(typeof made.stack).toBe('string')
  })
})

it('five errors are kept with a job', () => {
  expect(KEPT_ERRORS).toBe(5)
})
