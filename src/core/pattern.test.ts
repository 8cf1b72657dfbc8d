import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defineEvent } from './event.js'
import { checkPattern, match, matchesPattern } from './pattern.js'

const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,4}$/)
const name = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'))
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { maxLength: 4 }), fc.boolean())
  .map(([tokens, open]) => (open || tokens.length === 0 ? [...tokens, '#'] : tokens).join('.'))

/** The same rule, written as a regular expression: an oracle. */
function asRegExp(text: string): RegExp {
  const parts = text.split('.')
  const open = parts.at(-1) === '#'
  const tokens = (open ? parts.slice(0, -1) : parts).map((part) => (part === '*' ? '[^.]+' : part))
  if (!open) return new RegExp(`^${tokens.join('\\.')}$`)
  return new RegExp(tokens.length === 0 ? '^.*$' : `^${tokens.join('\\.')}(\\..+)?$`)
}

describe('matchesPattern', () => {
  it.each([
    ['order.paid', 'order.paid', true],
    ['order.paid', 'order.paid.late', false],
    ['order.*', 'order.paid', true],
    ['order.*', 'order', false],
    ['order.*', 'order.item.paid', false],
    ['*.paid', 'order.paid', true],
    ['order.*.paid', 'order.item.paid', true],
    ['order.#', 'order', true],
    ['order.#', 'order.paid', true],
    ['order.#', 'order.item.paid', true],
    ['order.#', 'orders', false],
    ['order.*.#', 'order', false],
    ['order.*.#', 'order.paid', true],
    ['#', 'anything.at.all', true],
    ['*', 'one', true],
    ['*', 'one.two', false],
  ])('%s and %s: %s', (text, event, expected) => expect(matchesPattern(text, event)).toBe(expected))

  it('agrees with a regular expression, on random patterns and names', () => {
    fc.assert(
      fc.property(pattern, name, (text, event) => {
        expect(matchesPattern(checkPattern(text), event)).toBe(asRegExp(text).test(event))
      }),
      { numRuns: 2000 },
    )
  })

  it('finds a name by every pattern that is made from it', () => {
    fc.assert(
      fc.property(name, fc.array(fc.boolean(), { maxLength: 5 }), fc.nat(5), (event, stars, keep) => {
        const tokens = event.split('.').map((one, i) => (stars[i] ? '*' : one))
        expect(matchesPattern(tokens.join('.'), event)).toBe(true)
        expect(matchesPattern([...tokens.slice(0, keep), '#'].join('.'), event)).toBe(true)
        expect(matchesPattern([...tokens, '*'].join('.'), event)).toBe(false)
      }),
    )
  })
})

describe('checkPattern', () => {
  it.each(['#', '*', 'a', 'a.b', 'a.*', '*.b', 'a.#', 'a.*.#', 'A_1-x.y', 'a'.repeat(200)])('takes %s', (text) =>
    expect(checkPattern(text)).toBe(text),
  )

  it.each(['a.#.b', '#.a', '##', 'a#b'])('refuses %s, whose # is not last', (text) =>
    expect(() => checkPattern(text)).toThrow(/may only be the last one/),
  )

  it.each(['', '.', 'a.', '.a', 'a..b', 'a b', 'a*', 'é', 'a'.repeat(201), 3, undefined])('refuses %s', (text) =>
    expect(() => checkPattern(text)).toThrow(/The event pattern .* is not allowed/),
  )
})

describe('match', () => {
  const events = {
    paid: defineEvent('order.paid'),
    shipped: defineEvent('order.item.shipped'),
    joined: defineEvent('user.joined'),
    unrelated: 3,
    nothing: null,
  }

  it('picks the events that fit, out of a module or a list', () => {
    expect(match('order.#', events)).toEqual({ pattern: 'order.#', '~among': [events.paid, events.shipped] })
    expect(match('*.joined', [events.paid, events.joined])['~among']).toEqual([events.joined])
  })

  it('refuses a pattern that means none of them, and names them', () => {
    expect(() => match('shop.#', events)).toThrow(/none of the events fits.*order\.paid, order\.item\.shipped, user/)
    expect(() => match('shop.#', { unrelated: 3 })).toThrow(/There are: none/)
  })
})
