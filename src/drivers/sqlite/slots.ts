// Which deliveries have begun, in memory that both threads share: when the main thread does not answer, the other one can
// take back what has not begun, and neither can be wrong about it.

/** Deliveries of one lane that wait to begin; more than that cannot be taken back. */
const SLOTS = 4_096
const [FREE, HANDED, TAKEN] = [0, 1, 2]

export type Cells = Int32Array
export const createCells = (): Cells => new Int32Array(new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT))

/** A delivery without a slot. */
export const NO_SLOT = -1

/** Main thread: it begins, or leaves our hands otherwise. `false`: it was taken back. */
export function begin(cells: Cells, slot: number): boolean {
  if (slot === NO_SLOT) return true
  if (Atomics.compareExchange(cells, slot, HANDED, FREE) === HANDED) return true
  Atomics.store(cells, slot, FREE)
  return false
}

/** The other thread's side. */
export interface Slots<T> {
  /** A slot for something that is handed over. */
  hand(what: T): number
  /** It was not handed over after all. */
  undo(slot: number): void
  /** Take back everything that has not begun. */
  takeBack(): T[]
}

export function createSlots<T>(cells: Cells): Slots<T> {
  const held: (T | undefined)[] = []
  let next = 0
  return {
    hand(what) {
      for (let tries = 0; tries < SLOTS; tries++) {
        const slot = next
        next = (next + 1) % SLOTS
        if (Atomics.load(cells, slot) !== FREE) continue
        held[slot] = what
        Atomics.store(cells, slot, HANDED)
        return slot
      }
      return NO_SLOT
    },
    undo(slot) {
      if (slot !== NO_SLOT) Atomics.store(cells, slot, FREE)
    },
    takeBack() {
      const taken: T[] = []
      for (let slot = 0; slot < SLOTS; slot++)
        if (Atomics.compareExchange(cells, slot, HANDED, TAKEN) === HANDED) taken.push(held[slot]!)
      return taken
    },
  }
}
