// Job ids: UUIDv7 (RFC 9562), so that ids sort by time and indexes stay compact.

let lastMs = 0
let sequence = 0
/** What ids of the same millisecond begin with. */
let prefix = { ms: -1, text: '' }

/** A new UUIDv7. Ids made by one process only grow, also within a millisecond and when the clock steps back. */
export function newId(now = Date.now()): string {
  if (now > lastMs) {
    lastMs = now
    sequence = random() & 0xff // half of the 12 bits stay free for growth within this millisecond
  } else if (++sequence > 0xfff) {
    lastMs += 1
    sequence = 0
  }
  if (prefix.ms !== lastMs) {
    const time = lastMs.toString(16).padStart(12, '0')
    prefix = { ms: lastMs, text: `${time.slice(0, 8)}-${time.slice(8)}-7` }
  }
  const [a, b, c] = [random() & 0x3fff, random(), random()]
  return `${prefix.text}${hex4(sequence).slice(1)}-${hex4(a | 0x8000)}-${hex4(b)}${hex4(c)}${hex4(random())}`
}

const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const hex4 = (n: number) => BYTES[n >> 8]! + BYTES[n & 0xff]!

// One call for many ids: asking the system for each id's few bytes is what costs.
const POOL = new Uint16Array(512)
let used = POOL.length

/** 16 random bits. */
function random(): number {
  if (used === POOL.length) {
    globalThis.crypto.getRandomValues(POOL)
    used = 0
  }
  return POOL[used++]!
}
