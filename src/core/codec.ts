// Text on the wire: JSON, checked to be JSON before it leaves, and bounded.
import { PayloadTooLargeError, ValidationError, messageOf, withArticle } from './errors.js'

/** The largest input or result: 1 MiB of JSON text in UTF-8. */
export const MAX_BYTES = 1024 * 1024
const MAX_DEPTH = 500

/**
 * The JSON text of a value; `''` stands for no value (`undefined`).
 * @param what names the value in errors, for example `Input of task "mail.send"`.
 * @throws ValidationError with the path of what is no JSON; PayloadTooLargeError.
 */
export function encode(value: unknown, what: string): string {
  if (value === undefined) return ''
  const bad = isPlainJson(value, 0) ? undefined : findNotJson(value, '$', [])
  if (bad) throw new ValidationError(`${what} is no JSON value: ${bad.path} ${bad.message}.`, [bad])
  const text = JSON.stringify(value)
  // UTF-8 takes at most three bytes for each UTF-16 unit, so short texts need no exact count.
  if (text.length * 3 > MAX_BYTES) {
    const bytes = utf8Length(text)
    if (bytes > MAX_BYTES) throw new PayloadTooLargeError(what, bytes, MAX_BYTES)
  }
  return text
}

/**
 * The value of a text that `encode` made.
 * @throws ValidationError when the text is no JSON.
 */
export function decode(text: string, what: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new ValidationError(`${what} is no JSON: ${messageOf(cause)}`, [], { cause })
  }
}

/** A canonical form for comparing: object keys sorted at every level. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length
}

/** Whether it is JSON beyond doubt: what most values are. The others are looked at closely. */
function isPlainJson(value: unknown, depth: number): boolean {
  if (typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object') return false
  if (value === null) return true
  if (depth >= MAX_DEPTH) return false // also what refers back to itself
  if (Array.isArray(value)) return Object.getPrototypeOf(value) === Array.prototype && everyIsPlain(value, depth + 1)
  if (Object.getPrototypeOf(value) !== Object.prototype || 'toJSON' in value) return false
  for (const key in value) {
    const part = (value as Record<string, unknown>)[key]
    if (part !== undefined && !isPlainJson(part, depth + 1)) return false
  }
  return true
}

function everyIsPlain(values: readonly unknown[], depth: number): boolean {
  for (let i = 0; i < values.length; i++) if (!isPlainJson(values[i], depth)) return false
  return true
}

function findNotJson(
  value: unknown,
  path: string,
  ancestors: readonly object[],
): { path: string; message: string } | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : { path, message: `is ${value}` }
    case 'object':
      return value === null ? undefined : inObject(value, path, ancestors)
    default:
      return { path, message: `is ${withArticle(typeof value)}` }
  }
}

function inObject(value: object, path: string, ancestors: readonly object[]) {
  if (ancestors.includes(value)) return { path, message: 'refers back to itself' }
  if (ancestors.length >= MAX_DEPTH) return { path, message: `is nested deeper than ${MAX_DEPTH} levels` }
  const kind = notJsonKind(value)
  if (kind !== undefined) return { path, message: `is ${withArticle(kind)}; send it as text or numbers` }
  const inner = [...ancestors, value]
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const bad = findNotJson(value[i], `${path}[${i}]`, inner)
      if (bad) return bad
    }
    return undefined
  }
  for (const [key, part] of Object.entries(value)) {
    if (part === undefined) continue // as absent, which is how JSON writes it
    const bad = findNotJson(part, `${path}.${key}`, inner)
    if (bad) return bad
  }
  return undefined
}

function notJsonKind(value: object): string | undefined {
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function')
    return value.constructor?.name || 'object with toJSON'
  // The last five are boxed primitives, which JSON unwraps: they would come back as something else, or throw.
  const types = [
    Map,
    Set,
    WeakMap,
    WeakSet,
    RegExp,
    ArrayBuffer,
    Promise,
    Error,
    String,
    Number,
    Boolean,
    BigInt,
    Symbol,
  ]
  for (const type of types) {
    if (value instanceof type) return type.name
  }
  return ArrayBuffer.isView(value) ? value.constructor.name : undefined
}
