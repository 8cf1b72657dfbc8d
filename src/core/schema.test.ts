// Tests of running schemas of several libraries: one form for values and issues, one for their JSON Schema.
import { runInNewContext } from 'node:vm'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ValidationError } from './errors.js'
import { check, jsonSchemaOf, unchecked, validationError } from './schema.js'

const LIBRARIES: [string, StandardSchemaV1][] = [
  ['zod', z.object({ user: z.object({ tags: z.array(z.string()) }) })],
  ['valibot', v.object({ user: v.object({ tags: v.array(v.string()) }) })],
  ['arktype', type({ user: { tags: 'string[]' } })],
]

/** A schema that answers as told. */
function answering(answer: unknown): StandardSchemaV1 {
  const validate = () => answer as StandardSchemaV1.Result<unknown>
  return { '~standard': { version: 1, vendor: 'test', validate } }
}

describe('check', () => {
  it.each(LIBRARIES)('gives the value that a schema of %s made', (_name, schema) => {
    expect(check(schema, { user: { tags: ['a'] } })).toEqual({ value: { user: { tags: ['a'] } } })
  })

  it.each(LIBRARIES)('gives the issues of a schema of %s with their paths', (_name, schema) => {
    expect(check(schema, { user: { tags: ['a', 5] } })).toEqual({
      issues: [{ path: '$.user.tags[1]', message: expect.stringMatching(/string/) }],
    })
    expect(check(schema, {})).toMatchObject({ issues: [{ path: '$.user' }] })
  })

  const atRoot = (schema: StandardSchemaV1) => () =>
    expect(check(schema, null)).toEqual({ issues: [{ path: '$', message: expect.stringMatching(/object/i) }] })
  it('names the root as $ for zod', atRoot(LIBRARIES[0]![1]))
  it('names the root as $ for valibot', atRoot(LIBRARIES[1]![1]))
  it('names the root as $ for arktype', atRoot(LIBRARIES[2]![1]))

  it('gives what the schema made, not what was sent', () => {
    expect(check(z.object({ n: z.string().transform(Number) }), { n: '5', more: 1 })).toEqual({ value: { n: 5 } })
  })

  it('is a promise only where the schema is asynchronous', async () => {
    const schema = z.string().refine(async (text) => text === 'yes', 'not yes')
    const passed = check(schema, 'yes')
    expect(passed).toBeInstanceOf(Promise)
    expect(await passed).toEqual({ value: 'yes' })
    expect(await check(schema, 'no')).toEqual({ issues: [{ path: '$', message: 'not yes' }] })
  })

  it('passes the value on to the schema', () => {
    const seen: unknown[] = []
    const validate = (value: unknown) => (seen.push(value), { value: 1 })
    expect(check({ '~standard': { version: 1, vendor: 'test', validate } }, 'sent')).toEqual({ value: 1 })
    expect(seen).toEqual(['sent'])
  })

  it('takes nothing where there is no schema', () => {
    expect(check(undefined, undefined)).toEqual({ value: undefined })
    for (const value of [null, 0, '', {}])
      expect(check(undefined, value)).toEqual({ issues: [{ path: '$', message: 'nothing is expected here' }] })
  })

  it('writes paths of every form', () => {
    const paths = [undefined, [], ['a', 'b'], [0, 'a', 1], [{ key: 'a' }, { key: 2 }], [Symbol('s')], ['0']]
    const issues = paths.map((path) => ({ message: 'm', path }))
    expect(check(answering({ issues }), 1)).toEqual({
      issues: ['$', '$', '$.a.b', '$[0].a[1]', '$.a[2]', '$.Symbol(s)', '$.0'].map((path) => ({ path, message: 'm' })),
    })
  })

  it('keeps only path and message of an issue', () => {
    const issues = [{ message: 'm', path: ['a'], received: 'secret' }]
    expect(check(answering({ issues }), 1)).toStrictEqual({ issues: [{ path: '$.a', message: 'm' }] })
  })

  it('takes an empty list of issues for a refusal, as the specification says', () => {
    expect(check(answering({ issues: [] }), 1)).toEqual({ issues: [] })
  })

  it('waits for any promise, also one that is no instance of our Promise', async () => {
    const promise = runInNewContext("Promise.resolve({ issues: [{ message: 'no' }] })")
    expect(await check(answering(promise), 1)).toEqual({ issues: [{ path: '$', message: 'no' }] })
  })
})

describe('validationError', () => {
  const issues = Array.from({ length: 7 }, (_, i) => ({ path: `$[${i}]`, message: `no ${i}` }))

  it('tells what does not fit and why', () => {
    const error = validationError('Input of task "x"', issues.slice(0, 2))
    expect(error).toBeInstanceOf(ValidationError)
    expect(error.message).toBe('Input of task "x" does not fit its schema. $[0]: no 0; $[1]: no 1')
    expect(error.issues).toEqual(issues.slice(0, 2))
  })

  it('shows five issues, counts the others and carries all', () => {
    expect(validationError('X', issues.slice(0, 5)).message).toMatch(/\$\[4\]: no 4$/)
    const error = validationError('X', issues)
    expect(error.message).toBe(
      'X does not fit its schema. $[0]: no 0; $[1]: no 1; $[2]: no 2; $[3]: no 3; $[4]: no 4; … and 2 more',
    )
    expect(error.issues).toEqual(issues)
  })
})

describe('unchecked', () => {
  it('takes anything as it is', () => {
    const value = { any: 'thing' }
    const checked = check(unchecked<string>(), value)
    expect(checked).toEqual({ value })
    expect((checked as { value: unknown }).value).toBe(value)
    expect(unchecked()['~standard']).toMatchObject({ version: 1, vendor: 'millrace' })
  })
})

describe('jsonSchemaOf', () => {
  it.each(LIBRARIES.filter(([name]) => name !== 'valibot'))('tells what a schema of %s takes', (_name, schema) => {
    expect(jsonSchemaOf(schema)).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: { user: { type: 'object', properties: { tags: { type: 'array', items: { type: 'string' } } } } },
    })
  })

  it('tells the input side', () => {
    const schema = z.object({ n: z.string().transform(Number), d: z.number().default(1) })
    expect(jsonSchemaOf(schema)).toMatchObject({ properties: { n: { type: 'string' } }, required: ['n'] })
  })

  it('asks for draft 2020-12', () => {
    const asked: unknown[] = []
    const jsonSchema = { input: (o: unknown) => (asked.push(o), { type: 'null' }) }
    const schema = { '~standard': { ...unchecked()['~standard'], jsonSchema } }
    expect(jsonSchemaOf(schema)).toEqual({ type: 'null' })
    expect(asked).toEqual([{ target: 'draft-2020-12' }])
  })

  it('is nothing where there is no schema, the library cannot tell, or JSON Schema cannot say it', () => {
    expect(jsonSchemaOf(undefined)).toBe(undefined)
    expect(jsonSchemaOf(v.string())).toBe(undefined)
    expect(jsonSchemaOf(unchecked())).toBe(undefined)
    expect(jsonSchemaOf(z.date())).toBe(undefined)
  })
})
