// Tests of names and keys: which characters pass, and what the error shows.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigurationError, ValidationError } from './errors.js'
import { checkKey, checkName } from './name.js'

const FIRST = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const LETTERS = new Set(`${FIRST}._:-`)
const RULE = 'Use 1 to 100 letters, digits and . _ : - and begin with a letter or digit, for example "mail.send".'
const KEY_RULE = 'Use 1 to 200 characters without control characters; hash longer keys.'

function refused(work: () => unknown, type: new (...args: never[]) => Error): string {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(type)
    return (error as Error).message
  }
  throw new Error('it was taken')
}

describe('checkName', () => {
  it.each(['a', '7', 'mail.send', 'A-b_c:d.e', 'x'.repeat(100)])('takes %s and gives it back', (name) => {
    expect(checkName('The task name', name)).toBe(name)
  })

  it.each(['', ' ', '.a', '_a', ':a', '-a', 'a b', 'a/b', 'a\n', '\na', 'é', 'aé', 'a*', 'a#', 'x'.repeat(101)])(
    'refuses %j and shows it',
    (name) => {
      expect(refused(() => checkName('The task name', name), ConfigurationError)).toBe(
        `The task name ${JSON.stringify(name)} is not allowed. ${RULE}`,
      )
    },
  )

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    [['a'], '["a"]'],
    [Symbol('s'), 'Symbol(s)'],
  ])('refuses %o, which is no text', (name, shown) => {
    expect(refused(() => checkName('The queue name', name), ConfigurationError)).toBe(
      `The queue name ${shown} is not allowed. ${RULE}`,
    )
  })

  it('takes a text exactly when each character is allowed', () => {
    const near = fc.string({ unit: fc.constantFrom(...LETTERS, ' ', '/', '\n', 'é', '\u0000'), maxLength: 120 })
    const good = fc.string({ unit: fc.constantFrom(...LETTERS), minLength: 1, maxLength: 120 })
    fc.assert(
      fc.property(fc.oneof(near, good, fc.string()), (name) => {
        const allowed =
          name.length >= 1 && name.length <= 100 && FIRST.includes(name[0]!) && [...name].every((c) => LETTERS.has(c))
        if (allowed) expect(checkName('X', name)).toBe(name)
        else expect(() => checkName('X', name)).toThrow(ConfigurationError)
      }),
      { numRuns: 500 },
    )
  })

  it('refuses a bigint', () => {
    expect(refused(() => checkName('X', 5n), ConfigurationError)).toBe(`X 5 is not allowed. ${RULE}`)
  })
})

describe('checkKey', () => {
  it.each(['a', ' ', 'user 7/€ 😀', '\u0080', '~', 'x'.repeat(200)])('takes %j and gives it back', (key) => {
    expect(checkKey('The unique key', key)).toBe(key)
  })

  it.each(['', 'a\nb', '\t', '\u0000', 'a\u001f', '\u007fa'])('refuses %j and shows it', (key) => {
    expect(refused(() => checkKey('The unique key', key), ValidationError)).toBe(
      `The unique key ${JSON.stringify(key)} is not allowed. ${KEY_RULE}`,
    )
  })

  it('shows 80 characters of a key that is too long', () => {
    expect(refused(() => checkKey('The group', 'x'.repeat(201)), ValidationError)).toBe(
      `The group "${'x'.repeat(79)}… is not allowed. ${KEY_RULE}`,
    )
    const tab = '"' + 'x'.repeat(76) + '\\t"' // 80 characters
    expect(refused(() => checkKey('The group', `${'x'.repeat(76)}\t`), ValidationError)).toContain(`${tab} is`)
    expect(refused(() => checkKey('The group', `${'x'.repeat(77)}\t`), ValidationError)).toContain('x\\t… is')
  })

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    [{ id: 1 }, '{"id":1}'],
  ])('refuses %o, which is no text', (key, shown) => {
    expect(refused(() => checkKey('The job id', key), ValidationError)).toBe(
      `The job id ${shown} is not allowed. ${KEY_RULE}`,
    )
  })

  it('takes a text exactly when it is short enough and has no control character', () => {
    const near = fc.string({ unit: fc.constantFrom('a', ' ', 'é', '\u001f', '\u0020', '\u007e', '\u007f', '\u0080') })
    const long = fc.string({ unit: fc.constant('k'), minLength: 150, maxLength: 250 })
    fc.assert(
      fc.property(fc.oneof(near, long, fc.string({ unit: 'binary' })), (key) => {
        const control = [...key].some((c) => c.codePointAt(0)! < 32 || c.codePointAt(0) === 127)
        if (key.length >= 1 && key.length <= 200 && !control) expect(checkKey('X', key)).toBe(key)
        else expect(() => checkKey('X', key)).toThrow(ValidationError)
      }),
      { numRuns: 500 },
    )
  })

  it('refuses half a character', () => {
    expect(() => checkKey('X', 'a\ud800')).toThrow(ValidationError)
  })

  it('refuses a bigint', () => {
    expect(refused(() => checkKey('X', 5n), ValidationError)).toBe(`X 5 is not allowed. ${KEY_RULE}`)
  })
})
