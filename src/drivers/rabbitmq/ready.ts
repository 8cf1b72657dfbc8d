// What a consumer has been given and has not handed over, by how urgent it is, and the places that are kept for what is more
// urgent and on its way.
import type { RabbitDelivery } from './delivery.js'
import { createReserve } from './reserve.js'
import type { TapKind } from './taps.js'

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
  /** One that was handed over has left its place. */
  left(delivery: RabbitDelivery): void
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

  return {
    get size() {
      return size
    },
    push(delivery) {
      lists[RANK[delivery.sub.tap.kind]]!.push(delivery)
      size += 1
    },
    first: () => lists.find((list) => list.length > 0)?.[0]!.sub.tap.kind,
    take() {
      const rank = lists.findIndex((list) => list.length > 0)
      reserves[rank]!.taken()
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
    left({ sub }) {
      // Who had not given all it may has no more to give; and suspects are not hurried.
      if (sub === sub.tap.sub && sub.unsettled >= sub.limit && sub.tap.kind !== 'suspect')
        reserves[RANK[sub.tap.kind]]!.left()
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
