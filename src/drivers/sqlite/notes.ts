// Progress that handlers report: the newest of each job is written now and then, never one write per call.

import type { Run } from './settle.js'

export interface Note extends Run {
  readonly progress?: number
  readonly note?: string
}

export interface Notes {
  add(run: Run, o: { readonly progress?: number; readonly note?: string }): void
  flush(): Promise<void>
}

const EVERY = 200

export function createNotes(write: (notes: readonly Note[]) => Promise<unknown>): Notes {
  const waiting = new Map<string, Note>()
  let timer: NodeJS.Timeout | undefined

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const notes = [...waiting.values()]
    waiting.clear()
    if (notes.length > 0) await write(notes)
  }

  return {
    flush,
    add(run, o) {
      const key = `${run.run} ${run.id}`
      waiting.set(key, { ...waiting.get(key), ...run, ...o })
      // Best effort: a note that is not written is overtaken by the next.
      timer ??= setTimeout(() => void flush().catch(() => {}), EVERY).unref()
    },
  }
}
