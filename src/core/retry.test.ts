// Tests of retry rules: what is taken, and how long each backoff waits.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from './errors.js'
import { DEFAULT_RETRY, exponential, fixed, retryDelay, retryPolicy, type Backoff, type Retry } from './retry.js'

const ERROR = new Error('failed')
const LONGEST = 31_536_000_000_000
const delay = (backoff: Retry['backoff'], attempt: number, random = 0.5): number =>
  retryDelay(retryPolicy({ backoff: backoff as Backoff }), attempt, ERROR, random)

describe('exponential', () => {
  it('waits first, then factor times as long, up to max', () => {
    const backoff = exponential('1s', { factor: 3, max: '30s', jitter: 'none' })
    expect([1, 2, 3, 4, 5, 1000].map((n) => delay(backoff, n))).toEqual([1000, 3000, 9000, 27_000, 30_000, 30_000])
  })

  it('doubles, up to an hour, with full jitter unless told otherwise', () => {
    expect(exponential(500)).toEqual({
      kind: 'backoff',
      form: 'exponential',
      first: 500,
      factor: 2,
      max: 3_600_000,
      jitter: 'full',
    })
  })

  it('draws the wait between 0 and the full one', () => {
    const backoff = exponential(1000)
    expect([0, 0.25, 0.5, 0.999].map((random) => delay(backoff, 2, random))).toEqual([0, 500, 1000, 1998])
  })

  it('never waits longer than max, also the first time', () => {
    expect(delay(exponential('2h', { jitter: 'none' }), 1)).toBe(3_600_000)
  })

  it('gives whole milliseconds', () => {
    expect(delay(exponential(3), 1, 0.5)).toBe(2)
    expect(delay(exponential(10, { factor: 1.25, jitter: 'none' }), 3)).toBe(16)
  })

  it.each([0.99, 101, -2, NaN, Infinity])('refuses the factor %d', (factor) => {
    const make = (): unknown => exponential('1s', { factor })
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow(new RegExp(`^factor: ${factor} is not between 1 and 100\\.$`))
  })

  it('takes factors from 1 to 100', () => {
    expect(delay(exponential(7, { factor: 1, jitter: 'none' }), 9)).toBe(7)
    expect(delay(exponential(7, { factor: 100, jitter: 'none' }), 2)).toBe(700)
  })

  it('refuses a jitter that it does not know, and durations that are none', () => {
    expect(() => exponential('1s', { jitter: 'half' as 'full' })).toThrow(
      /^jitter: "half" is neither 'full' nor 'none'\.$/,
    )
    expect(() => exponential('1s', { jitter: 'half' as 'full' })).toThrow(ConfigurationError)
    expect(() => exponential('1s', { jitter: '' as 'full' })).toThrow(ConfigurationError)
    expect(() => exponential('soon' as '1s')).toThrow(/^first: "soon" is no duration/)
    expect(() => exponential('1s', { max: -1 })).toThrow(/^max: -1 is no duration/)
  })

  const rule = fc.record({
    first: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: LONGEST })),
    max: fc.oneof(fc.nat(100_000), fc.integer({ min: 0, max: LONGEST })),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
  })
  const attempt = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 1_000_000 }))
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

  it('is never negative, never above max, and with jitter never above what it is without', () => {
    fc.assert(
      fc.property(rule, attempt, random, ({ first, max, factor }, n, r) => {
        const full = delay(exponential(first, { max, factor, jitter: 'none' }), n, r)
        const drawn = delay(exponential(first, { max, factor, jitter: 'full' }), n, r)
        expect(Number.isInteger(full) && Number.isInteger(drawn)).toBe(true)
        expect(full).toBeLessThanOrEqual(max)
        expect(drawn).toBeGreaterThanOrEqual(0)
        expect(drawn).toBeLessThanOrEqual(full)
        expect(Math.abs(drawn - r * full)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 1000 },
    )
  })

  it('only grows from attempt to attempt without jitter', () => {
    fc.assert(
      fc.property(rule, attempt, fc.nat(1000), ({ first, max, factor }, n, more) => {
        const backoff = exponential(first, { max, factor, jitter: 'none' })
        expect(delay(backoff, n + more)).toBeGreaterThanOrEqual(delay(backoff, n))
        expect(delay(backoff, 1)).toBe(Math.min(first, max))
      }),
    )
  })

  it('waits nothing at every attempt when first is 0', () => {
    expect(delay(exponential(0), 5)).toBe(0)
    expect(delay(exponential(0), 2000)).toBe(0)
  })
})

describe('fixed', () => {
  it('waits the same each time, without jitter', () => {
    const backoff = fixed('5s')
    expect([1, 2, 100].flatMap((n) => [delay(backoff, n, 0), delay(backoff, n, 0.9)])).toEqual(Array(6).fill(5000))
    expect(backoff).toEqual({ kind: 'backoff', form: 'fixed', delay: 5000 })
  })

  it('refuses what is no duration', () => {
    expect(() => fixed('often' as '1s')).toThrow(/^delay: "often" is no duration/)
  })
})

describe('a function as backoff', () => {
  it('gets the attempt and the error, and may answer with any duration', () => {
    const seen: unknown[] = []
    const backoff = (attempt: number, error: Error) => {
      seen.push(attempt, error)
      return attempt === 1 ? 250 : ('2s' as const)
    }
    expect([delay(backoff, 1), delay(backoff, 2)]).toEqual([250, 2000])
    expect(seen).toEqual([1, ERROR, 2, ERROR])
  })

  it('is checked: the wait is a duration or an error', () => {
    for (const wrong of [-1, NaN, Infinity, undefined, null, 'soon', {}]) {
      expect(() => delay(() => wrong as number, 1)).toThrow(ConfigurationError)
      expect(() => delay(() => wrong as number, 1)).toThrow(/^retry\.backoff: /)
    }
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.string()), (answer) => {
        try {
          const ms = delay(() => answer as number, 1)
          expect(ms >= 0 && ms <= LONGEST).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigurationError)
        }
      }),
    )
  })
})

describe('every backoff', () => {
  it.each([
    ['a function', () => 1000.5],
    ['fixed', fixed(1000.5)],
  ])('gives whole milliseconds, rounded up: %s', (_name, backoff) => {
    expect(delay(backoff, 1)).toBe(1001)
  })
})

describe('retryPolicy', () => {
  it('is ten attempts over hours by default', () => {
    expect(DEFAULT_RETRY.maxAttempts).toBe(10)
    expect(DEFAULT_RETRY.backoff).toEqual(exponential('2s', { factor: 3, max: '1h', jitter: 'full' }))
    expect(retryPolicy(undefined)).toEqual(DEFAULT_RETRY)
    expect(retryPolicy({})).toEqual(DEFAULT_RETRY)
  })

  it('is one attempt when false', () => {
    expect(retryPolicy(false)).toEqual({ maxAttempts: 1, backoff: DEFAULT_RETRY.backoff })
  })

  it('takes each part and fills in the other', () => {
    const backoff = fixed('1s')
    expect(retryPolicy({ maxAttempts: 3 })).toEqual({ maxAttempts: 3, backoff: DEFAULT_RETRY.backoff })
    expect(retryPolicy({ backoff })).toEqual({ maxAttempts: 10, backoff })
  })

  it.each([1, 1_000_000])('takes %d attempts', (maxAttempts) => {
    expect(retryPolicy({ maxAttempts }).maxAttempts).toBe(maxAttempts)
  })

  it.each([0, -1, 1.5, NaN, Infinity, 1_000_001, '3'])('refuses %o attempts', (maxAttempts) => {
    const make = (): unknown => retryPolicy({ maxAttempts: maxAttempts as number })
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow(new RegExp(`^retry\\.maxAttempts: ${maxAttempts} is no whole number of 1 or more\\.$`))
  })

  it('refuses a backoff that is neither made by exponential or fixed nor a function', () => {
    expect(() => retryPolicy({ backoff: '5s' as never })).toThrow(ConfigurationError)
  })

  it.each([5, true, '3'])('refuses %o, which is no rule', (retry) => {
    expect(() => retryPolicy(retry as never)).toThrow(ConfigurationError)
  })
})
