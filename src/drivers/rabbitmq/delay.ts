// Delays: how a message is led through the network of delay queues. Resolution is one second; the longest is 2^28 - 1 seconds,
// eight and a half years, and what is due later goes round again.
import { DELAY_LEVELS, type Names } from './topology.js'

const LONGEST = 2 ** DELAY_LEVELS - 1
/**
 * A message may come out so many milliseconds before its time, and the consumer holds it until then. Rounding up alone would
 * spend the whole second that a job may be late, and the way through the queues comes on top.
 */
const HELD = 200

/** Where a message goes in, and under which key, to come out behind `dueKey` after `ms` milliseconds, or just before. */
export function delayRoute(names: Names, ms: number, dueKey: string): { exchange: string; key: string } {
  const seconds = Math.max(1, Math.min(LONGEST, Math.ceil((ms - HELD) / 1000)))
  const bits = seconds.toString(2)
  const words = bits.padStart(DELAY_LEVELS, '0').split('').join('.')
  return { exchange: names.delay(bits.length - 1), key: `${words}.${dueKey}` }
}
