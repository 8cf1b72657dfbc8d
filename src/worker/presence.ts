// The worker's beat: says that it lives, and hears which queues are paused.
import { messageOf } from '../core/errors.js'
import type { WorkerInfo, Workers } from '../driver/driver.js'
import { beatInterval } from '../driver/leases.js'
import type { Pulse } from '../driver/pulse.js'
import type { Logger } from '../observe/log.js'

type Partner = 'store' | 'broker'

export interface Presence {
  /** Beat now. */
  beat(): Promise<void>
  /** Who did not answer the last beat. */
  readonly away: Partner | undefined
  /** Say goodbye; what the worker still holds is given back, as after a crash if it was one. */
  leave(o?: { readonly crashed: boolean }): Promise<void>
}

/** Rejects when the first beat fails: a worker nobody can see must not take jobs. */
export async function startPresence(o: {
  readonly workers: Workers
  /** Who answers the beat, for the log. */
  readonly what: Partner
  readonly worker: string
  readonly lease: number
  readonly pulse: Pulse
  info(): WorkerInfo
  onPaused(queues: readonly string[]): void
  readonly log: Logger
}): Promise<Presence> {
  let away: Partner | undefined
  let beating: Promise<void> | undefined
  let left = false

  async function beatOnce(): Promise<void> {
    const { paused, brokerAway } = await o.workers.beat({ worker: o.worker, info: o.info(), pulse: o.pulse })
    become(brokerAway ? 'broker' : undefined)
    if (!left) o.onPaused(paused)
  }

  function become(next: Partner | undefined, error?: string): void {
    if (next === away) return
    if (away) o.log.info({ worker: o.worker }, `The ${away} answers again.`)
    if (next) o.log.error({ worker: o.worker, ...(error !== undefined && { error }) }, `The ${next} does not answer.`)
    away = next
  }

  function tick(): void {
    if (left || beating) return
    beating = beatOnce()
      .catch((error: unknown) => {
        if (!left) become(o.what, messageOf(error))
      })
      .finally(() => (beating = undefined))
  }

  await beatOnce().catch((error: unknown) => {
    void o.workers.leave({ worker: o.worker }).catch(() => {}) // the driver may expect its next beat
    throw error
  })
  const timer = setInterval(tick, beatInterval(o.lease))
  return {
    get away() {
      return away
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
