// The worker's beat: says that it lives, and hears which queues are paused.
import { messageOf } from '../core/errors.js'
import type { WorkerInfo, Workers } from '../driver/driver.js'
import { beatInterval } from '../driver/leases.js'
import type { Pulse } from '../driver/pulse.js'
import type { Logger } from '../observe/log.js'

export interface Presence {
  /** Beat now. */
  beat(): Promise<void>
  /** The last beat reached the store. */
  readonly healthy: boolean
  /** Say goodbye; what the worker still holds is given back, as after a crash if it was one. */
  leave(o?: { readonly crashed: boolean }): Promise<void>
}

/** Rejects when the first beat fails: a worker nobody can see must not take jobs. */
export async function startPresence(o: {
  readonly workers: Workers
  readonly worker: string
  readonly lease: number
  readonly pulse: Pulse
  info(): WorkerInfo
  onPaused(queues: readonly string[]): void
  readonly log: Logger
}): Promise<Presence> {
  let healthy = true
  let beating: Promise<void> | undefined
  let left = false

  async function beatOnce(): Promise<void> {
    const { paused } = await o.workers.beat({ worker: o.worker, info: o.info(), pulse: o.pulse })
    if (!healthy) o.log.info({ worker: o.worker }, 'The store answers again.')
    healthy = true
    if (!left) o.onPaused(paused)
  }

  function tick(): void {
    if (left || beating) return
    beating = beatOnce()
      .catch((error: unknown) => {
        if (left) return
        if (healthy) o.log.error({ worker: o.worker, error: messageOf(error) }, 'The store does not answer the beat.')
        healthy = false
      })
      .finally(() => (beating = undefined))
  }

  await beatOnce().catch((error: unknown) => {
    void o.workers.leave({ worker: o.worker }).catch(() => {}) // the driver may expect its next beat
    throw error
  })
  const timer = setInterval(tick, beatInterval(o.lease))
  return {
    get healthy() {
      return healthy
    },
    async beat() {
      await beating
      tick()
      await beating
    },
    async leave({ crashed } = { crashed: false }) {
      left = true
      clearInterval(timer)
      await beating
      await o.workers.leave({ worker: o.worker, crashed })
    },
  }
}
