// The clock of a test client: it stands still until it is moved.
import { ConfigurationError } from '../core/errors.js'

export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Never back. */
  moveTo(time: number): void
}

/** @throws ConfigurationError for what is no valid Date */
export function createClock(start: Date = new Date()): Clock {
  let time = start instanceof Date ? start.getTime() : Number.NaN
  if (Number.isNaN(time)) throw new ConfigurationError(`now: ${String(start)} is no valid Date.`)
  return {
    now: () => time,
    moveTo(later) {
      time = Math.max(time, later)
    },
  }
}
