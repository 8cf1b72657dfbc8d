// Reading the values of flags: each checked where it enters, with the flag and the value in the message.
import { parseDuration } from '../core/duration.js'
import { UsageError } from './fail.js'

/** Flags that every verb takes. */
export interface GlobalFlags {
  readonly url?: string
  readonly store?: string
  readonly namespace?: string
  readonly envFile?: string
  readonly json?: boolean
  readonly verbose?: boolean
}

/** Milliseconds of `2h` and the like. A bare number is refused: seconds and milliseconds are too easily confused. */
export function duration(flag: string): (text: string) => number {
  return (text) => {
    try {
      return parseDuration(text)
    } catch {
      throw new UsageError(
        `${flag}: "${text}" is no duration. Give a number with a unit: 500ms, 30s, 5m, 2h, 7d or 1w.`,
      )
    }
  }
}

export function wholeNumber(flag: string, from: number, to = Infinity): (text: string) => number {
  return (text) => {
    const n = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (n >= from && n <= to) return n
    const range = to === Infinity ? `from ${from} on` : `from ${from} to ${to}`
    throw new UsageError(`${flag}: "${text}" is no whole number ${range}.`)
  }
}

/** `a,b` and repeated flags alike. */
export function list(flag: string): (text: string, before?: readonly string[]) => string[] {
  return (text, before = []) => {
    const names = text.split(',').map((name) => name.trim())
    if (names.includes('')) throw new UsageError(`${flag}: "${text}" has an empty name. Write ${flag} a,b.`)
    return [...before, ...names]
  }
}

/** One of `words`, or several of them with commas. */
export function oneOf<W extends string>(flag: string, words: readonly W[], text: string): W {
  const word = words.find((one) => one === text)
  if (word !== undefined) return word
  const meant = closest(text, words)
  throw new UsageError(
    `${flag}: there is no "${text}". ${meant === undefined ? '' : `Did you mean ${meant}? `}Possible: ${words.join(', ')}.`,
  )
}

/** A time so long ago (`2h`), or a date (`2026-01-31`, `2026-01-31T12:00Z`). */
export function pastTime(flag: string): (text: string) => Date {
  return (text) => {
    if (/^\d{4}-\d\d-\d\d/.test(text)) {
      const date = new Date(text)
      if (!Number.isNaN(date.getTime())) return date
    } else {
      try {
        return new Date(Date.now() - parseDuration(text))
      } catch {
        // Neither: told below.
      }
    }
    throw new UsageError(`${flag}: "${text}" is neither a duration such as 2h nor a date such as 2026-01-31T12:00Z.`)
  }
}

/** The word a person most likely meant: at most a third of its letters differ. */
export function closest(text: string, words: readonly string[]): string | undefined {
  const [best] = words
    .map((word) => ({ word, distance: editDistance(text.toLowerCase(), word.toLowerCase()) }))
    .filter(({ word, distance }) => distance <= Math.max(1, Math.floor(Math.max(word.length, text.length) / 3)))
    .sort((a, b) => a.distance - b.distance)
  return best?.word
}

/** How many letters to add, remove, change or swap with a neighbour. */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array.from({ length: b.length }, () => 0)])
  rows[0] = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1)
      rows[i]![j] = least
    }
  return rows[a.length]![b.length]!
}
