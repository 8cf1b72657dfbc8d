// How far we are, on standard error: a bar on a terminal, a plain line now and then elsewhere.
import type { WriteStream } from 'node:tty'
import { count } from './format.js'

export interface State {
  readonly done: number
  readonly total: number
  /** More files may still be found. */
  readonly listing: boolean
  readonly perSecond: number
  /** Why it takes its time. */
  readonly note: string
}

export interface Progress {
  /** Call it as often as you like: it decides how often to write. */
  show(state: State): void
  /** Write a line of its own. */
  line(text: string): void
  /** Take the bar away. */
  end(): void
}

export function createProgress(out: WriteStream): Progress {
  return out.isTTY ? createBar(out) : createLines()
}

const REDRAW = 100
const BAR = 30
const CLEAR = '\r\u001b[K'

function createBar(out: WriteStream): Progress {
  let next = 0
  return {
    show(state) {
      if (performance.now() < next) return
      next = performance.now() + REDRAW
      const share = state.listing || state.total === 0 ? 0 : state.done / state.total
      const full = Math.floor(share * BAR)
      const bar = state.listing
        ? 'listing'.padEnd(BAR + 7)
        : `${'█'.repeat(full)}${'░'.repeat(BAR - full)}  ${String(Math.floor(share * 100)).padStart(3)} %`
      // A longer line would wrap, and could not be taken back.
      out.write(CLEAR + `${bar}  ${describe(state)}`.slice(0, out.columns - 1))
    },
    line: (text) => void out.write(`${CLEAR}${text.trimEnd()}\n`),
    end: () => void out.write(CLEAR),
  }
}

const LONGEST_SILENCE = 5_000

function createLines(): Progress {
  // Soon at first, to show that it works, then less and less often.
  let silence = 250
  let next = performance.now() + silence
  const line = (text: string) => console.error(text.trimEnd())
  return {
    show(state) {
      if (performance.now() < next) return
      silence = Math.min(LONGEST_SILENCE, silence * 2)
      next = performance.now() + silence
      line(`progress: ${describe(state)}${state.listing ? ', still listing' : ''}`)
    },
    line,
    end: () => {},
  }
}

function describe({ done, total, perSecond, note }: State): string {
  return `${count(done)} of ${count(total)} files, ${count(perSecond)} jobs/s${note === '' ? '' : ` (${note})`}`
}
