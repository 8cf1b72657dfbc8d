// Tests of the codec: what travels as JSON and comes back the same, what is refused, and where it says the fault lies.
import { deepStrictEqual } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonical, decode, encode } from './codec.js'
import { ValidationError } from './errors.js'

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    '__proto__',
    'constructor',
    'length',
    '0',
    'toJSON',
    '"',
    '\\',
    '\n',
    '\u0000',
    '\u2028',
    '\ud800',
  ),
)
// JSON.parse of Node 24 and 26 may read the key '"' as another escaped key that it has seen before
// (https://github.com/nodejs/node/issues/63785), so keys are made without characters that JSON escapes.
const plainKey = text.filter((one) => JSON.stringify(one) === `"${one}"`)
/** Any JSON value but -0, which JSON writes as 0. */
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
    text,
    fc.array(tie('value')),
    fc.dictionary(plainKey, tie('value'), { noNullPrototype: true }),
  ),
})).value

function refused(value: unknown): ValidationError {
  try {
    encode(value, 'The input')
  } catch (error) {
    expect(error).toBeInstanceOf(ValidationError)
    return error as ValidationError
  }
  throw new Error('encode took it')
}

describe('encode and decode', () => {
  it('give back any JSON value as it was', () => {
    fc.assert(
      fc.property(json, (value) => deepStrictEqual(decode(encode(value, 'X'), 'X'), value)),
      { numRuns: 1000 },
    )
  })

  it('write no value as the empty text', () => {
    expect(encode(undefined, 'X')).toBe('')
    expect(decode('', 'X')).toBe(undefined)
  })

  it('write plain JSON', () => {
    expect(encode({ a: [1, 'é', null, true], b: {} }, 'X')).toBe('{"a":[1,"é",null,true],"b":{}}')
    expect(decode('{"a":[1,2]}', 'X')).toEqual({ a: [1, 2] })
  })

  it('write -0 as 0', () => {
    expect(encode([-0], 'X')).toBe('[0]')
  })

  it('leave out properties that are undefined', () => {
    expect(encode({ a: undefined, b: 1 }, 'X')).toBe('{"b":1}')
  })

  it('take one object that stands in two places', () => {
    const shared = { n: 1 }
    expect(encode({ a: shared, b: [shared, shared] }, 'X')).toBe('{"a":{"n":1},"b":[{"n":1},{"n":1}]}')
  })

  it('take instances of classes that hold plain data, and objects without a prototype', () => {
    class Point {
      x = 1
      toJSON = 'no function'
    }
    expect(encode([new Point(), Object.assign(Object.create(null), { y: 2 })], 'X')).toBe(
      '[{"x":1,"toJSON":"no function"},{"y":2}]',
    )
  })

  it('refuse text that is no JSON, with the cause', () => {
    expect(() => decode('{"a":', 'The result')).toThrow(/^The result is no JSON: Unexpected end of JSON input/)
    const error = ((): unknown => {
      try {
        return decode('nope', 'The result')
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toBeInstanceOf(ValidationError)
    expect(error).toMatchObject({ code: 'ERR_VALIDATION', issues: [] })
    expect((error as Error).cause).toBeInstanceOf(SyntaxError)
  })
})

describe('encode', () => {
  const values: [string, unknown, RegExp][] = [
    ['NaN', NaN, /^is NaN$/],
    ['Infinity', Infinity, /^is Infinity$/],
    ['-Infinity', -Infinity, /^is -Infinity$/],
    ['a bigint', 1n, /^is a bigint$/],
    ['a function', () => 1, /^is a function$/],
    ['a symbol', Symbol('x'), /^is a symbol$/],
    ...Object.entries({
      Date: new Date(0),
      URL: new URL('http://x.test'),
      Buffer: Buffer.from('x'),
      Map: new Map(),
      Set: new Set(),
      WeakMap: new WeakMap(),
      WeakSet: new WeakSet(),
      RegExp: /x/,
      ArrayBuffer: new ArrayBuffer(1),
      Promise: Promise.resolve(),
      Error: new TypeError('x'),
      Uint8Array: new Uint8Array(1),
      DataView: new DataView(new ArrayBuffer(1)),
      Object: { toJSON: () => 1 },
      'object with toJSON': Object.assign(Object.create(null), { toJSON: () => 1 }),
    }).map(([kind, value]): [string, unknown, RegExp] => [
      `a value of kind ${kind}`,
      value,
      new RegExp(`^is an? ${kind}; send it as text or numbers$`),
    ]),
  ]

  it.each(values)('refuses %s', (_name, value, message) => {
    const error = refused(value)
    expect(error.issues).toEqual([{ path: '$', message: expect.stringMatching(message) }])
    expect(error.message).toBe(`The input is no JSON value: $ ${error.issues[0]?.message}.`)
  })

  it('names the path of what is no JSON, wherever it stands', () => {
    const key = fc.stringMatching(/^[a-z]{1,5}$/)
    const steps = fc.array(fc.oneof(key, fc.nat(4)), { maxLength: 20 })
    fc.assert(
      fc.property(steps, fc.constantFrom(...values), (path, [, bad]) => {
        const value = path.reduceRight<unknown>(
          (inner, step) =>
            typeof step === 'number' ? [...Array(step).fill('x'), inner, 1n] : { A: [{}], [step]: inner, Z: 1n },
          bad,
        )
        const shown = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
        expect(refused(value).issues[0]?.path).toBe(`$${shown}`)
      }),
    )
    expect(refused({ a: [0, 1, 2, { b: NaN }] }).message).toBe('The input is no JSON value: $.a[3].b is NaN.')
  })

  it('names what is wrong, not a property beside it that is undefined', () => {
    expect(refused({ a: undefined, b: 1n }).issues).toEqual([{ path: '$.b', message: 'is a bigint' }])
  })

  it('refuses undefined and holes in arrays, which JSON would turn into null', () => {
    expect(refused([1, undefined]).issues).toEqual([
      { path: '$[1]', message: expect.stringMatching(/^is an? undefined$/) },
    ])
    expect(refused({ a: Array(2) }).issues[0]?.path).toBe('$.a[0]')
  })

  it('refuses a cycle', () => {
    const value = { a: [{ b: {} as unknown }] }
    value.a[0]!.b = value.a
    expect(refused(value).issues).toEqual([{ path: '$.a[0].b', message: 'refers back to itself' }])
  })

  it('takes 500 levels and refuses one more', () => {
    const nested = (levels: number): unknown => Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 1)
    expect(encode(nested(500), 'X')).toBe('['.repeat(500) + '1' + ']'.repeat(500))
    expect(refused(nested(501)).issues).toEqual([
      { path: '$' + '[0]'.repeat(500), message: 'is nested deeper than 500 levels' },
    ])
    expect(refused(nested(100_000)).issues[0]?.message).toBe('is nested deeper than 500 levels')
  })

  it('refuses a boxed bigint and a boxed NaN', () => {
    expect(refused({ a: Object(1n) }).issues[0]?.path).toBe('$.a')
    expect(refused({ a: Object(NaN) }).issues[0]?.path).toBe('$.a')
  })
})

describe('canonical', () => {
  const reversed = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map(reversed)
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, part]) => [key, reversed(part)]),
    )
  }

  it('sorts the keys at every level and keeps the order of arrays', () => {
    expect(canonical({ b: null, a: [{ d: 2, c: 1 }, 0] })).toBe('{"a":[{"c":1,"d":2},0],"b":null}')
  })

  it('does not depend on the order of keys and loses nothing', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(canonical(reversed(value))).toBe(canonical(value))
        deepStrictEqual(JSON.parse(canonical(value)), value)
      }),
    )
  })

  it('is equal only for equal values', () => {
    fc.assert(fc.property(json, json, (a, b) => (canonical(a) === canonical(b)) === isDeepStrictEqual(a, b)))
  })
})
