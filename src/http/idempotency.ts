// `Idempotency-Key`: the same key for the same task is the same job, so that a request may be sent again.
// Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
import { createHash } from 'node:crypto'
import { Problem } from './problem.js'

const LONGEST = 255

/** The id of the job that a key stands for; `undefined` without a key. @throws Problem 400 */
export function idOfKey(headers: Headers, task: string): string | undefined {
  const given = headers.get('idempotency-key')
  if (given === null) return undefined
  // The draft writes the key as a quoted string; many send it bare.
  const key = /^"[^"\\]*"$/.test(given) ? given.slice(1, -1) : given
  if (key.length < 1 || key.length > LONGEST || !/^[\x20-\x7e]+$/.test(key))
    throw new Problem('ERR_BAD_REQUEST', `Idempotency-Key: give 1 to ${LONGEST} printable ASCII characters.`)
  // Not of the token: a caller whose token was changed repeats its requests safely.
  return `key-${createHash('sha256').update(`${task}\n${key}`).digest('hex').slice(0, 40)}`
}
