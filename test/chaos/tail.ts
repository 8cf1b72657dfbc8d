// Reads the effects file as it grows: a long run asks often, and must not read everything each time.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { parseEffects, type Effect } from './ledger.js'

/** Answers a function that gives everything written so far; the same list each time, which only grows. */
export function tailOf(file: string): () => readonly Effect[] {
  const effects: Effect[] = []
  let offset = 0
  return () => {
    const fd = openSync(file, 'r')
    try {
      const bytes = Buffer.alloc(Math.max(0, fstatSync(fd).size - offset))
      const text = bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, offset))
      // The last line may still be under way.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1)
      offset += whole.length
      for (const effect of parseEffects(whole)) effects.push(effect)
      return effects
    } finally {
      closeSync(fd)
    }
  }
}
