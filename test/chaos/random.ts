// Chance that can be had again: the same seed gives the same numbers, and every part draws from a stream of its own, so that
// what one scenario draws changes nothing for the others.

export interface Random {
  /** From 0 up to 1, without 1. */
  fraction(): number
  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number
  pick<T>(list: readonly T[]): T
  /** Milliseconds until the next of events that come every `mean` ms on average, whenever the last one was. */
  gap(mean: number): number
  shuffle<T>(list: readonly T[]): T[]
  /** A stream of its own, known by this name. */
  stream(name: string): Random
}

export function createRandom(seed: string): Random {
  let state = hash(seed)
  // mulberry32, by Tommy Ettinger: small, and good enough to choose whom to kill.
  const fraction = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const between = (from: number, to: number) => from + Math.floor(fraction() * (to - from + 1))
  return {
    fraction,
    between,
    pick: (list) => list[between(0, list.length - 1)]!,
    gap: (mean) => -Math.log(1 - fraction()) * mean,
    shuffle: (list) =>
      list
        .map((one) => ({ one, key: fraction() }))
        .sort((a, b) => a.key - b.key)
        .map(({ one }) => one),
    stream: (name) => createRandom(`${seed}/${name}`),
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0)!, 0x01000193)
  return value
}
