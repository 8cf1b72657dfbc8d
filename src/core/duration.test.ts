// Tests of durations: every unit, the limits, what is refused and how the error shows it.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration, toMs, type Duration } from './duration.js'
import { ConfigurationError } from './errors.js'

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
type Unit = keyof typeof UNITS
const LONGEST = 31_536_000_000_000 // 1,000 years of 365 days
const HINT = `Give milliseconds, or a number with a unit: '500ms', '30s', '5m', '2h', '7d', '1w'.`
const unit = fc.constantFrom(...(Object.keys(UNITS) as Unit[]))

function refused(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError)
    return (error as Error).message
  }
  throw new Error('it was taken')
}

describe('parseDuration', () => {
  it.each([
    ['0s', 0],
    ['1ms', 1],
    ['90s', 90_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['1w', 604_800_000],
    ['1.5h', 5_400_000],
    ['0.25s', 250],
    ['007s', 7000],
  ])('reads %s as %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it('reads every whole number of every unit', () => {
    fc.assert(
      fc.property(fc.nat(50_000), unit, (n, u) => {
        expect(parseDuration(`${n}${u}`)).toBe(n * UNITS[u])
      }),
    )
  })

  it.each([
    '',
    ' ',
    '5',
    's',
    '-5s',
    '+5s',
    '5 s',
    ' 5s',
    '5s ',
    '5s\n',
    '5S',
    '5sec',
    '1h30m',
    '.5s',
    '5.s',
    '1e3s',
    '0x5s',
    'NaNs',
    'Infinitys',
    '1,5s',
    '٣s',
    '5y',
  ])('refuses %j', (text) => {
    expect(refused(() => parseDuration(text))).toBe(`duration: ${JSON.stringify(text)} is no duration. ${HINT}`)
  })

  it('takes 1,000 years and no more', () => {
    expect(parseDuration('365000d')).toBe(LONGEST)
    expect(refused(() => parseDuration('365001d'))).toContain('"365001d"')
    expect(refused(() => parseDuration(`${'9'.repeat(400)}ms`))).toContain('"999')
  })

  it('gives a number from 0 to the longest, or an error that shows the text, whatever the text', () => {
    const almost = fc
      .tuple(fc.oneof(fc.double().map(String), fc.string()), fc.oneof(unit, fc.string()))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), almost), (text) => {
        let ms: number
        try {
          ms = parseDuration(text)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigurationError)
          expect((error as Error).message).toBe(`duration: ${JSON.stringify(text)} is no duration. ${HINT}`)
          return
        }
        expect(ms).toBeGreaterThanOrEqual(0)
        expect(ms).toBeLessThanOrEqual(LONGEST)
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    ['1.005s', 1005],
    ['4.1m', 246_000],
    ['1.1h', 3_960_000],
    ['0.7d', 60_480_000],
  ])('gives whole milliseconds for %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })
})

describe('toMs', () => {
  it('takes text as parseDuration does, and names the option when it is wrong', () => {
    expect(toMs('1.5m', 'delay')).toBe(90_000)
    expect(refused(() => toMs('soon', 'delay'))).toBe(`delay: "soon" is no duration. ${HINT}`)
    expect(refused(() => toMs('400000d', 'delay'))).toBe(`delay: "400000d" is no duration. ${HINT}`)
  })

  it('takes whole numbers from 0 to the longest as they are', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: LONGEST }), (n) => toMs(n, 'x') === n))
    expect(toMs(0, 'x')).toBe(0)
    expect(toMs(LONGEST, 'x')).toBe(LONGEST)
  })

  it.each([-1, -0.001, LONGEST + 1, null, true, [], ['5s'], {}])('refuses %j and shows it', (value) => {
    expect(refused(() => toMs(value as Duration, 'expires'))).toBe(
      `expires: ${JSON.stringify(value)} is no duration. ${HINT}`,
    )
  })

  it('refuses what is no number and has no JSON', () => {
    expect(refused(() => toMs(undefined as never, 'x'))).toBe(`x: undefined is no duration. ${HINT}`)
    expect(refused(() => toMs(Symbol('soon') as never, 'x'))).toBe(`x: Symbol(soon) is no duration. ${HINT}`)
    for (const value of [NaN, Infinity, -Infinity])
      expect(refused(() => toMs(value, 'x'))).toMatch(/^x: .* is no duration/)
  })

  it('gives whole milliseconds, rounded up so that nothing comes early', () => {
    expect([0.2, 1.5, 2].map((ms) => toMs(ms, 'x'))).toEqual([1, 2, 2])
  })

  it.each([NaN, Infinity, -Infinity])('shows %d in the error', (value) => {
    expect(refused(() => toMs(value, 'x'))).toBe(`x: ${value} is no duration. ${HINT}`)
  })

  it('refuses a bigint', () => {
    expect(refused(() => toMs(5n as never, 'x'))).toBe(`x: 5 is no duration. ${HINT}`)
  })
})

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [1, '1ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1234, '1.2s'],
    [90_000, '1.5m'],
    [3_600_000, '1h'],
    [86_400_000, '1d'],
    [604_800_000, '1w'],
    [-90_000, '-1.5m'],
    [0.04, '0ms'],
  ])('writes %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  it('writes whole numbers of a unit so that they read back the same', () => {
    const next = { ms: 1000, s: 60, m: 60, h: 24, d: 7, w: 52_142 }
    const whole = unit.chain((u) => fc.tuple(fc.integer({ min: 1, max: next[u] - 1 }), fc.constant(u)))
    fc.assert(
      fc.property(whole, ([n, u]) => {
        expect(formatDuration(n * UNITS[u])).toBe(`${n}${u}`)
        expect(parseDuration(formatDuration(n * UNITS[u]))).toBe(n * UNITS[u])
      }),
    )
  })

  it('is never further off than half a tenth of its unit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: LONGEST - UNITS.w }), (ms) => {
        const text = formatDuration(ms)
        const size = UNITS[text.replace(/[\d.]/g, '') as Unit]
        expect(size).toBeLessThanOrEqual(ms)
        expect(Math.abs(parseDuration(text) - ms)).toBeLessThanOrEqual(size * 0.05 + 1e-3)
      }),
    )
  })
})
