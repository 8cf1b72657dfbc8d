// Job ids: UUIDv7 (RFC 9562), so that ids sort by time and indexes stay compact.

let lastMs = 0
let sequence = 0

/** A new UUIDv7. Ids made by one process only grow, also within a millisecond and when the clock steps back. */
export function newId(now = Date.now()): string {
  if (now > lastMs) {
    lastMs = now
    sequence = random(1)[0]! // half of the 12 bits stay free for growth within this millisecond
  } else if (++sequence > 0xfff) {
    lastMs += 1
    sequence = 0
  }
  const time = lastMs.toString(16).padStart(12, '0')
  const tail = random(8)
  tail[0] = (tail[0]! & 0x3f) | 0x80
  const rest = Array.from(tail, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${sequence.toString(16).padStart(3, '0')}-${rest.slice(0, 4)}-${rest.slice(4)}`
}

// One call for many ids: asking the system for each id's few bytes is what costs.
const POOL = new Uint8Array(1024)
let used = POOL.length
function random(bytes: number): Uint8Array {
  if (used + bytes > POOL.length) {
    globalThis.crypto.getRandomValues(POOL)
    used = 0
  }
  used += bytes
  return POOL.slice(used - bytes, used)
}
