// What a consumer has been given and has not handed over, by how urgent it is, and the places that are kept for what is more
// urgent and on its way.
import type { RabbitDelivery } from './delivery.js'
import { createReserve } from './reserve.js'
import type { Tap, TapKind } from './taps.js'

const RANK: Readonly<Record<TapKind, number>> = { suspect: 0, high: 1, queue: 2, subscription: 2, low: 3 }
/** The broker gives what follows upon an acknowledged job within so many milliseconds. */
export const FOLLOWS = 20

export interface Ready {
  readonly size: number
  push(delivery: RabbitDelivery): void
  /** The level that the most urgent one is of. */
  first(): TapKind | undefined
  /** The most urgent one, which is handed over now. */
  take(): RabbitDelivery
  /** All that fit are out, and not to be handed over. */
  remove(which: (one: RabbitDelivery) => boolean): RabbitDelivery[]
  all(): RabbitDelivery[]
  /** The broker has given one, whatever becomes of it. */
  came(tap: Tap): void
  /** One that was handed over has left its place. */
  left(delivery: RabbitDelivery): void
  /** So many more were asked for. */
  expect(tap: Tap, jobs: number): void
  /** Places that what is more urgent than this may want at once. */
  keptFrom(kind: TapKind): number
  /** How many lie ready that are as urgent as this, or more. */
  before(kind: TapKind): number
  clear(): void
}

export function createReady(): Ready {
  const lists: RabbitDelivery[][] = [[], [], [], []]
  const reserves = lists.map(() => createReserve(FOLLOWS))
  let size = 0

  /** Of the most urgent one; as many as there are ranks when nothing is ready. */
  function firstRank(): number {
    let rank = 0
    while (rank < lists.length && lists[rank]!.length === 0) rank += 1
    return rank
  }

  return {
    get size() {
      return size
    },
    push(delivery) {
      lists[RANK[delivery.sub.tap.kind]]!.push(delivery)
      size += 1
    },
    first: () => lists[firstRank()]?.[0]!.sub.tap.kind,
    take() {
      const rank = firstRank()
      size -= 1
      return lists[rank]!.shift()!
    },
    remove(which) {
      const out: RabbitDelivery[] = []
      for (const list of lists) {
        const rest = list.filter((one) => !which(one))
        if (rest.length === list.length) continue
        out.push(...list.filter(which))
        list.splice(0, list.length, ...rest)
      }
      size -= out.length
      return out
    },
    all: () => lists.flat(),
    came: ({ kind }) => reserves[RANK[kind]]!.came(),
    expect({ kind }, jobs) {
      if (kind !== 'suspect') reserves[RANK[kind]]!.expect(jobs)
    },
    left({ sub }) {
      const { kind } = sub.tap
      const reserve = reserves[RANK[kind]]!
      // Who gives less than it may, also of what was acknowledged just now, has no more to give. Suspects are not hurried.
      if (sub === sub.tap.sub && kind !== 'suspect' && sub.unsettled + reserve.kept() >= sub.limit) reserve.expect(1)
    },
    keptFrom(kind) {
      let kept = 0
      for (let rank = RANK[kind] - 1; rank >= 0; rank--) kept += reserves[rank]!.kept()
      return kept
    },
    before(kind) {
      let n = 0
      for (let rank = RANK[kind]; rank >= 0; rank--) n += lists[rank]!.length
      return n
    },
    clear() {
      for (const list of lists) list.length = 0
      for (const reserve of reserves) reserve.clear()
      size = 0
    },
  }
}

/** Whether what the one level has comes before what the other has. */
export function isMoreUrgent(one: TapKind, other: TapKind): boolean {
  return RANK[one] < RANK[other]
}
