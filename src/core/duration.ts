// Durations: milliseconds, or a number with a unit such as '90s' or '5m'.
import { ConfigurationError, shown } from './errors.js'

/** Milliseconds as a number, or text: a decimal number and one of ms, s, m, h, d (24 h), w (7 d). */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
const FORM = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/
/**
 * The longest wait of a timer in Node, in milliseconds (32 bits, 24 days): a longer one would fire at once.
 * Source: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args.
 */
export const LONGEST_TIMER = 2 ** 31 - 1
/** The longest duration: 1,000 years, so that a sum with the clock is always a valid date. */
const LONGEST = 1000 * 365 * UNITS.d

/**
 * Whole milliseconds of a duration's text: `'5m'` gives 300000.
 * @throws ConfigurationError when the text is no duration.
 */
export function parseDuration(text: string): number {
  const [, digits, unit] = FORM.exec(text) ?? []
  const ms = Math.round(Number(digits) * UNITS[unit as keyof typeof UNITS]) // 1.1 h is 3960000.0000000005 ms
  if (digits === undefined || ms > LONGEST) throw notADuration('duration', text)
  return ms
}

/**
 * Milliseconds of a duration that a user gave for the option named `option`; whole, because drivers store integers, and
 * rounded up, so that nothing comes early.
 * @throws ConfigurationError that names the option and the value.
 */
export function toMs(value: Duration | string, option: string): number {
  if (typeof value === 'string') {
    try {
      return parseDuration(value)
    } catch {
      throw notADuration(option, value)
    }
  }
  if (typeof value !== 'number' || !(value >= 0 && value <= LONGEST)) throw notADuration(option, value)
  return Math.ceil(value)
}

/** A duration to read: `formatDuration(90_000)` gives `'1.5m'`. */
export function formatDuration(ms: number): string {
  const units = ['w', 'd', 'h', 'm', 's', 'ms'] as const
  const unit = units.find((name) => Math.abs(ms) >= UNITS[name]) ?? 'ms'
  return `${Number((ms / UNITS[unit]).toFixed(1))}${unit}`
}

function notADuration(option: string, value: unknown): ConfigurationError {
  return new ConfigurationError(
    `${option}: ${shown(value)} is no duration. Give milliseconds, or a number with a unit: '500ms', '30s', '5m', '2h', '7d', '1w'.`,
  )
}
