// A sign of life in shared memory: what a worker's event loop is doing, readable by another thread while it is blocked.

/** Written by a worker, read by the thread of a driver that beats in its place. */
export interface Pulse {
  /** To be handed to the thread. */
  readonly cells: Int32Array
  /** The code of a handler begins, and may run for so many milliseconds; `false`: as long as it likes. */
  enter(timeout: number | false): void
  /** It has returned, or waits for something. */
  left(): void
  /** The longest that any running handler may go on, in milliseconds; `undefined`: none is running. */
  running(longest: number | false | undefined): void
}

const [CURRENT, LATEST] = [0, 1]
/** Cells hold tenths of a second on the monotonic clock that all threads share; 0 is none. */
const UNIT = 100
const NEVER = 2 ** 31 - 1

const clock = () => {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
// performance.now() is cheaper, but each thread has its own beginning.
const offset = clock() - performance.now()
const at = (timeout: number | false) =>
  timeout === false ? NEVER : Math.min(NEVER, Math.ceil((performance.now() + offset + timeout) / UNIT))

export function createPulse(): Pulse {
  const cells = new Int32Array(new SharedArrayBuffer(8))
  return {
    cells,
    enter(timeout) {
      const deadline = at(timeout)
      Atomics.store(cells, CURRENT, deadline)
      if (deadline > Atomics.load(cells, LATEST)) Atomics.store(cells, LATEST, deadline)
    },
    left: () => void Atomics.store(cells, CURRENT, 0),
    running: (longest) => void Atomics.store(cells, LATEST, longest === undefined ? 0 : at(longest)),
  }
}

/**
 * By how many milliseconds the handler that blocks the event loop has overrun its time; when it cannot be told which one
 * it is, that of the handler with the most time. Negative while there is time left; `undefined` when no handler runs.
 */
export function overrun(cells: Int32Array): number | undefined {
  const deadline = Atomics.load(cells, CURRENT) || Atomics.load(cells, LATEST)
  if (deadline === 0) return undefined
  return deadline === NEVER ? -Infinity : performance.now() + offset - deadline * UNIT
}
