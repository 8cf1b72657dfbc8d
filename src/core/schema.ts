// Schemas of any library that speaks Standard Schema (zod, valibot, arktype, …): run one, and tell its issues in one form.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ValidationError, type Issue } from './errors.js'

/** What a schema said: the parsed value, or the issues. */
export type Checked = { readonly value: unknown } | { readonly issues: readonly Issue[] }

/** Run a schema; without one, only `undefined` passes. The answer is a promise only where the schema's own is. */
export function check(schema: StandardSchemaV1 | undefined, value: unknown): Checked | Promise<Checked> {
  if (schema === undefined) return checkNothing(value)
  const outcome = schema['~standard'].validate(value)
  // Not `instanceof`: a promise of another realm (node:vm, jest) would pass for a valid value.
  return 'then' in outcome ? Promise.resolve(outcome).then(normalize) : normalize(outcome)
}

/** The error that tells a schema's issues. */
export function validationError(what: string, issues: readonly Issue[]): ValidationError {
  const shown = issues.slice(0, 5).map((issue) => `${issue.path}: ${issue.message}`)
  const more = issues.length > shown.length ? [`… and ${issues.length - shown.length} more`] : []
  return new ValidationError(`${what} does not fit its schema. ${[...shown, ...more].join('; ')}`, issues)
}

/** A schema that gives a type and checks nothing at run time. */
export function unchecked<T>(): StandardSchemaV1<T> {
  return { '~standard': { version: 1, vendor: 'millrace', validate: (value) => ({ value: value as T }) } }
}

/**
 * The JSON Schema (draft 2020-12) of what a schema takes, where its library can tell; zod and arktype can.
 * Source: the `~standard.jsonSchema` extension of Standard Schema.
 */
export function jsonSchemaOf(schema: StandardSchemaV1 | undefined): Record<string, unknown> | undefined {
  const standard = schema?.['~standard'] as
    { jsonSchema?: { input(o: { target: string }): Record<string, unknown> } } | undefined
  try {
    return standard?.jsonSchema?.input({ target: 'draft-2020-12' })
  } catch {
    return undefined // a schema with parts that JSON Schema cannot say
  }
}

function checkNothing(value: unknown): Checked {
  return value === undefined ? { value } : { issues: [{ path: '$', message: 'nothing is expected here' }] }
}

function normalize(result: StandardSchemaV1.Result<unknown>): Checked {
  if (result.issues === undefined) return { value: result.value }
  return { issues: result.issues.map((issue) => ({ path: pathOf(issue.path), message: issue.message })) }
}

function pathOf(path: StandardSchemaV1.Issue['path']): string {
  // Not `path.map`: arktype's path is a subclass of Array whose constructor turns an empty one into [0].
  const keys = Array.from(path ?? [], (part) => (typeof part === 'object' ? part.key : part))
  return '$' + keys.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
}
