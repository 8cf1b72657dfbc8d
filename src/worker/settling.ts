// Settling that outlasts an outage: the verb is repeated while the store is away, and the handler is not run again for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode, messageOf } from '../core/errors.js'
import type { Delivery } from '../driver/driver.js'
import type { Logger } from '../observe/log.js'

export interface Settling {
  /** Settle; `failure` is that of a first try. Answers whether the job was still ours. Rejects only with what nobody foresaw. */
  untilDone(delivery: Delivery<any>, verb: () => Promise<void>, failure?: { readonly error: unknown }): Promise<boolean>
  /** The worker ends: whatever is not written at the next try is left to the lease. */
  giveUp(): void
}

const FIRST_PAUSE = 100
const LONGEST_PAUSE = 2_000

export function createSettling(log: Logger): Settling {
  const over = new AbortController()
  return {
    giveUp: () => over.abort(),
    async untilDone(delivery, verb, failure) {
      const { id: job } = delivery.envelope
      let lost = false
      let listening = false
      for (let pause = FIRST_PAUSE; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
        const lastTry = over.signal.aborted
        try {
          if (failure !== undefined) {
            const { error } = failure
            failure = undefined
            throw error
          }
          await verb()
          return true
        } catch (error) {
          if (hasCode(error, 'ERR_LEASE_LOST') || hasCode(error, 'ERR_CLIENT_CLOSED') || lost || lastTry) {
            log.warn({ job, error: messageOf(error) }, 'Nothing was written for this run.')
            return false
          }
          if (!hasCode(error, 'ERR_BROKER_UNAVAILABLE')) throw error
          if (!listening) delivery.onLost((why) => (lost ||= why !== 'cancelled'))
          listening = true
          log.warn({ job, error: messageOf(error) }, 'Could not settle; trying again.')
        }
        await sleep(pause, undefined, { signal: over.signal }).catch(() => {})
      }
    },
  }
}
