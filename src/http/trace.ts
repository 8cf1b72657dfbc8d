// The trace that a request belongs to, as jobs and events carry it on.
// Source: https://www.w3.org/TR/trace-context/
import type { HeaderMap } from '../core/envelope.js'

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]*)?$/
const LONGEST = 512

/** `traceparent` and `tracestate`, where they are well formed; a broken trace is no reason to refuse a request. */
export function traceIn(read: (name: 'traceparent' | 'tracestate') => unknown): HeaderMap {
  const [parent, state] = [read('traceparent'), read('tracestate')]
  if (typeof parent !== 'string' || parent.length > LONGEST || !TRACEPARENT.test(parent)) return {}
  const keepsState = typeof state === 'string' && state.length <= LONGEST && /^[\x20-\x7e]+$/.test(state)
  return { traceparent: parent, ...(keepsState && { tracestate: state }) }
}
