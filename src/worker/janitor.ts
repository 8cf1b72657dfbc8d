// Removes finished jobs and events whose retention is over: little by little, so that it is never felt.
import { messageOf } from '../core/errors.js'
import type { Jobs } from '../driver/driver.js'
import type { EventLog } from '../driver/events.js'
import type { Logger } from '../observe/log.js'

export interface Janitor {
  stop(): Promise<void>
}

const EVERY = 5_000
const BATCH = 500
const BETWEEN_BATCHES = 5

export function startJanitor(o: {
  readonly jobs: Jobs
  readonly eventLog: EventLog
  readonly log: Logger
  readonly every?: number
}): Janitor {
  const every = o.every ?? EVERY
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let pass: Promise<void> | undefined

  function passIn(ms: number): void {
    if (stopped) return
    timer = setTimeout(() => {
      pass = onePass()
    }, ms).unref()
  }

  async function onePass(): Promise<void> {
    try {
      const jobs = await o.jobs.prune({ limit: BATCH })
      const events = await o.eventLog.prune({ limit: BATCH })
      passIn(jobs === BATCH || events === BATCH ? BETWEEN_BATCHES : every)
    } catch (error) {
      o.log.debug({ error: messageOf(error) }, 'Could not remove old jobs or events; trying again.')
      passIn(every)
    }
  }

  passIn(every * Math.random())
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await pass
    },
  }
}
