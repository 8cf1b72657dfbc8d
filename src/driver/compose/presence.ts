// Which workers of this process the store knows: only they may take jobs, for the death of others would be seen by nobody.
// With each beat the broker is asked, too, whether it answers; the beat does not wait for that.
import type { Workers } from '../driver.js'

export interface Presence {
  readonly workers: Workers
  /** Told with each beat of the worker (`true`), and when it is gone. Answers how it is now, and how to stop listening. */
  watch(worker: string, listener: (present: boolean) => void): { readonly present: boolean; end(): void }
}

export function createPresence(o: {
  /** The store's. */
  readonly workers: Workers
  /** Resolves when the broker answers. */
  pingBroker(): Promise<void>
  /** A worker has left, and given back what it held. */
  onLeave(): void
}): Presence {
  const { workers } = o
  let brokerAway = false
  let asking = false
  function askBroker(): void {
    if (asking) return
    asking = true
    const hear = (away: boolean) => {
      asking = false
      brokerAway = away
    }
    o.pingBroker().then(
      () => hear(false),
      () => hear(true),
    )
  }

  const present = new Set<string>()
  const listeners = new Map<string, Set<(present: boolean) => void>>()
  const tell = (worker: string, is: boolean) => {
    if (is) present.add(worker)
    else present.delete(worker)
    for (const listener of listeners.get(worker) ?? []) listener(is)
  }
  return {
    workers: {
      async beat(args) {
        askBroker()
        const answer = await workers.beat(args)
        tell(args.worker, true)
        return brokerAway ? { ...answer, brokerAway } : answer
      },
      async leave(args) {
        tell(args.worker, false)
        await workers.leave(args)
        o.onLeave()
      },
      list: () => workers.list(),
    },
    watch(worker, listener) {
      const all = listeners.get(worker) ?? new Set()
      listeners.set(worker, all.add(listener))
      return {
        present: present.has(worker),
        end() {
          all.delete(listener)
          if (all.size === 0) listeners.delete(worker)
        },
      }
    },
  }
}
