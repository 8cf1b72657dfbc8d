// Beats for a worker whose event loop is blocked: its jobs are in good hands as long as the handler that blocks it is within
// its timeout. A handler that never ends loses its lease a little after that.
import type { WorkerInfo } from '../../driver/driver.js'
import { beatInterval } from '../../driver/leases.js'
import { overrun } from '../../driver/pulse.js'

export interface BeatArgs {
  readonly worker: string
  readonly info: WorkerInfo
  readonly pulse?: Int32Array
  readonly again: boolean
}

export interface Substitute {
  /** The worker itself beats; call what this answers when that is written, or has failed. */
  heard(args: BeatArgs): () => void
  forget(worker: string): void
  end(): void
}

/** How long a handler may overrun its timeout before its worker is left to die. */
const PATIENCE = 5_000

export function createSubstitute(o: {
  readonly lease: number
  beat(args: Omit<BeatArgs, 'pulse'>): Promise<unknown>
  /** The worker's event loop does not answer any more, or answers again. */
  onBlocked(worker: string, on: boolean): void
}): Substitute {
  const every = beatInterval(o.lease)
  const workers = new Map<string, { readonly args: BeatArgs; at: number; beating: boolean; blocked: boolean }>()
  let timer: NodeJS.Timeout | undefined

  function look(): void {
    const now = performance.now()
    for (const one of workers.values()) {
      const { pulse, worker, info } = one.args
      const silentFor = now - one.at
      // A beat that waits for the lock is no blocked event loop.
      if (pulse === undefined || one.beating || silentFor < every * 2) continue
      if (!one.blocked) o.onBlocked(worker, (one.blocked = true))
      // Blocked by what is no handler: nobody says how long that may take, so it gets one lease.
      const over = overrun(pulse) ?? silentFor - o.lease
      if (over > PATIENCE) continue
      const blocked = { ...info, blockedMs: Math.round(silentFor) }
      void o.beat({ worker, info: blocked, again: false }).catch(() => {}) // the next one may do better
    }
  }

  return {
    heard(args) {
      if (workers.get(args.worker)?.blocked) o.onBlocked(args.worker, false)
      const one = { args, at: performance.now(), beating: true, blocked: false }
      workers.set(args.worker, one)
      timer ??= setInterval(look, every).unref()
      return () => {
        one.at = performance.now()
        one.beating = false
      }
    },
    forget(worker) {
      workers.delete(worker)
      if (workers.size === 0) this.end()
    },
    end() {
      clearInterval(timer)
      timer = undefined
    },
  }
}
