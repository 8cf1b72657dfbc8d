// What handlers say while they work: progress and lines of log are written now and then, never one write per call, and at
// the latest with what settles the job.
import { KEPT_LINES, type Note as Said } from '../../driver/driver.js'
import type { Run } from './settle.js'

/** What one run said and nobody wrote yet. */
export interface Note extends Run, Said {}

export interface Notes {
  add(run: Run, o: Said): void
  /** What waits of this run, for its settle to write. Who could not write it adds it again. */
  take(id: string, run: number): Note | undefined
  flush(): Promise<void>
}

const EVERY = 200

export function createNotes(write: (notes: readonly Note[]) => Promise<unknown>): Notes {
  const waiting = new Map<string, Note>()
  let timer: NodeJS.Timeout | undefined
  const keyOf = (id: string, run: number) => `${run} ${id}`

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const notes = [...waiting.values()]
    waiting.clear()
    if (notes.length > 0) await write(notes)
  }

  return {
    flush,
    add({ seq, id, run }, o) {
      const key = keyOf(id, run)
      const before = waiting.get(key)
      const log = [...(before?.log ?? []), ...(o.log ?? [])].slice(-KEPT_LINES)
      waiting.set(key, { ...before, ...o, seq, id, run, ...(log.length > 0 && { log }) })
      // Best effort: progress that is not written is overtaken by the next.
      timer ??= setTimeout(() => void flush().catch(() => {}), EVERY).unref()
    },
    take(id, run) {
      if (waiting.size === 0) return undefined // by far the usual case
      const key = keyOf(id, run)
      const note = waiting.get(key)
      waiting.delete(key)
      return note
    },
  }
}
