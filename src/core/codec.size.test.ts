// Tests of the size limit of the codec: 1 MiB, counted in bytes of UTF-8 and not in characters.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_BYTES, decode, encode } from './codec.js'
import { PayloadTooLargeError } from './errors.js'

const QUOTES = 2
const KINDS = [
  { name: 'one byte', unit: 'x', bytes: 1 },
  { name: 'two bytes', unit: 'é', bytes: 2 },
  { name: 'three bytes', unit: '€', bytes: 3 },
  { name: 'four bytes', unit: '😀', bytes: 4 },
  { name: 'an escape of two bytes', unit: '"', bytes: 2 },
  { name: 'an escape of six bytes', unit: '\u0001', bytes: 6 },
  { name: 'a lone surrogate', unit: '\ud800', bytes: 6 },
]

function refused(value: unknown): PayloadTooLargeError {
  try {
    encode(value, 'The result of task "x"')
  } catch (error) {
    expect(error).toBeInstanceOf(PayloadTooLargeError)
    return error as PayloadTooLargeError
  }
  throw new Error('encode took it')
}

describe('the size limit', () => {
  it('is 1 MiB', () => {
    expect(MAX_BYTES).toBe(1_048_576)
  })

  it.each(KINDS)('counts bytes of characters that take $name', ({ unit, bytes }) => {
    const most = Math.floor((MAX_BYTES - QUOTES) / bytes)
    const longest = unit.repeat(most)
    expect(decode(encode(longest, 'X'), 'X') === longest).toBe(true)
    expect(refused(longest + unit)).toMatchObject({ bytes: QUOTES + (most + 1) * bytes, limit: MAX_BYTES })
  })

  it('takes exactly the limit and refuses one byte more, naming what, how much and the limit', () => {
    expect(encode('x'.repeat(1_048_574), 'X').length).toBe(1_048_576)
    const error = refused('x'.repeat(1_048_575))
    expect(error.code).toBe('ERR_PAYLOAD_TOO_LARGE')
    expect(error.message).toBe(
      'The result of task "x" is 1048577 bytes of JSON; the limit is 1048576. Store the data elsewhere and send a reference to it.',
    )
  })

  it('lies in the same place for every mix of characters', () => {
    const parts = fc.array(fc.tuple(fc.constantFrom(...KINDS), fc.integer({ min: 1, max: 20_000 })), { minLength: 1 })
    // A lone surrogate before an emoji stays alone, so the bytes of the parts add up.
    fc.assert(
      fc.property(parts, fc.integer({ min: -3, max: 3 }), (mix, around) => {
        const fits = mix.reduce<typeof mix>((kept, part) => {
          const used = kept.reduce((sum, [kind, n]) => sum + kind.bytes * n, QUOTES + 3)
          return used + part[0].bytes * part[1] <= MAX_BYTES ? [...kept, part] : kept
        }, [])
        const bytes = fits.reduce((sum, [kind, n]) => sum + kind.bytes * n, QUOTES)
        const value = fits.map(([kind, n]) => kind.unit.repeat(n)).join('') + 'x'.repeat(MAX_BYTES - bytes + around)
        if (around <= 0) expect(Buffer.byteLength(encode(value, 'X'))).toBe(MAX_BYTES + around)
        else expect(refused(value).bytes).toBe(MAX_BYTES + around)
      }),
      { numRuns: 50 },
    )
  })
})
