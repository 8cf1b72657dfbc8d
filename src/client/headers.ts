// Headers of jobs and events: what the caller gave, and where they come from.
import { PARENT_HEADER, type HeaderMap } from '../core/envelope.js'
import { ConfigurationError } from '../core/errors.js'

const MAX_HEADERS = 16 * 1024

/** The job whose handler enqueues, so that its children know their parent and trace. */
export interface Parent {
  readonly id: string
  readonly headers: HeaderMap
}

/** @throws ConfigurationError for what is no text, or too much of it */
export function headersOf(given: HeaderMap | undefined, parent: Parent | undefined): HeaderMap {
  const headers: Record<string, string> = {}
  if (!given && !parent) return headers
  if (parent) {
    headers[PARENT_HEADER] = parent.id
    for (const name of ['traceparent', 'tracestate']) {
      const value = parent.headers[name]
      if (value !== undefined) headers[name] = value
    }
  }
  for (const [name, value] of Object.entries(given ?? {})) {
    if (typeof value !== 'string')
      throw new ConfigurationError(`headers: "${name}" is a ${typeof value}; headers are text.`)
    headers[name.toLowerCase()] = value
  }
  const size = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (size > MAX_HEADERS) throw new ConfigurationError(`headers: ${size} characters are more than ${MAX_HEADERS}.`)
  return headers
}
