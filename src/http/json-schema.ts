// A JSON Schema that was kept in the store, as a schema that values can be checked by.
import { Validator, type OutputUnit } from '@cfworker/json-schema'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { unchecked } from '../core/schema.js'

/**
 * Checks values by a JSON Schema (2020-12); without one every value passes.
 * @param what is expected, for the message when there is no value at all: `an input`
 */
export function schemaOfJson(schema: Record<string, unknown> | undefined, what: string): StandardSchemaV1<any> {
  if (schema === undefined) return unchecked<any>()
  const validator = new Validator(schema, '2020-12', false)
  const validate = (value: unknown): StandardSchemaV1.Result<unknown> => {
    // A JSON Schema speaks of values only; no value at all is not one.
    if (value === undefined) return { issues: [{ message: `${what} is expected` }] }
    const { valid, errors } = validator.validate(value)
    return valid ? { value } : { issues: innermost(errors).map((unit) => issueOf(unit, value)) }
  }
  return { '~standard': { version: 1, vendor: 'millrace', validate } }
}

/** Without the errors that only say that something inside them is wrong. */
function innermost(errors: readonly OutputUnit[]): readonly OutputUnit[] {
  return errors.filter(
    (unit) =>
      unit.keyword !== 'false' && !errors.some((other) => other.keywordLocation.startsWith(`${unit.keywordLocation}/`)),
  )
}

function issueOf(unit: OutputUnit, root: unknown): StandardSchemaV1.Issue {
  const path: PropertyKey[] = []
  let value = root
  for (const part of unit.instanceLocation.split('/').slice(1)) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    path.push(Array.isArray(value) ? Number(key) : key)
    value = (value as Record<string, unknown> | undefined)?.[key]
  }
  return { path, message: unit.error.replace(/\.$/, '') }
}
