// Who makes the ticks: one worker, so that not all of them ask the store all the time. Nothing depends on it but that. Death is
// seen by counters, not by clocks: a lease that has not been renewed for a while on our own clock is anybody's.
import type { State } from '../driver/driver.js'

export interface Lease {
  readonly held: boolean
  /** Somebody else holds it, and has renewed it lately. */
  taken(): Promise<boolean>
  /** Take it, or renew it when that is due. `false`: somebody else was first. */
  hold(): Promise<boolean>
  giveBack(): Promise<void>
}

const KEY = 'scheduler'
const RENEW_EVERY = 1_000
/** Without a renewal for so long, the holder is gone. */
const LASTS = 3_000

/** @param worker says in the store who holds it */
export function createLease(state: State, worker: string): Lease {
  /** Our own hold on it. */
  let mine: { readonly version: number; readonly renewed: number } | undefined
  /** The version that was seen last, and since when. */
  let seen: { readonly version: number; readonly since: number } | undefined

  return {
    get held() {
      return mine !== undefined
    },
    async taken() {
      const entry = await state.get({ key: KEY })
      if (!entry) {
        seen = undefined
        return false
      }
      if (seen?.version !== entry.version) seen = { version: entry.version, since: performance.now() }
      return performance.now() - seen.since < LASTS
    },
    async hold() {
      const now = performance.now()
      if (mine && now - mine.renewed < RENEW_EVERY) return true
      const expect = mine?.version ?? seen?.version ?? 'absent'
      const version = await state.set({ key: KEY, value: worker, ttl: LASTS, expect })
      mine = version === undefined ? undefined : { version, renewed: now }
      return mine !== undefined
    },
    async giveBack() {
      const held = mine
      mine = undefined
      seen = undefined
      if (held) await state.delete({ key: KEY, expect: held.version })
    },
  }
}
