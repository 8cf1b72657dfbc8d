// Parts of filters that users give: checked where they enter.
import { ConfigurationError } from '../core/errors.js'

/** @throws ConfigurationError unless it is a whole number from 1 to `most` */
export function checkLimit(limit: number, most: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return
  throw new ConfigurationError(`limit: ${limit} is no whole number from 1 to ${most}.`)
}

/** Epoch milliseconds. @throws ConfigurationError for what is no valid Date */
export function timeOf(date: Date | undefined, option: string): number | undefined {
  if (date === undefined) return undefined
  const time = date instanceof Date ? date.getTime() : Number.NaN
  if (Number.isNaN(time)) throw new ConfigurationError(`${option}: ${String(date)} is no valid Date.`)
  return time
}
