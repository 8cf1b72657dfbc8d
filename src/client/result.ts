// Waiting for results: one look for all waiting ids whenever something finished, with a slow poll behind.
import { ClientClosedError, JobNotFoundError, ResultTimeoutError } from '../core/errors.js'
import { isFinished } from '../core/job.js'
import type { JobRecord } from '../driver/driver.js'
import type { Results } from './job.js'
import type { Session } from './session.js'

const POLL_EVERY = 500
/** Signals come in floods; between two looks at least so many milliseconds pass. */
const LOOK_PAUSE = 2
const IDS_PER_LOOK = 500

interface Waiter {
  readonly id: string
  resolve(record: JobRecord): void
  reject(error: unknown): void
}

export interface ResultWaiters extends Results {
  /** Every wait under way ends with ClientClosedError. */
  close(): void
}

export function createResults<Tx>(session: Session<Tx>): ResultWaiters {
  const waiters = new Set<Waiter>()
  let stopListening: (() => void) | undefined
  let timer: NodeJS.Timeout | undefined
  let looking = false
  let again = false

  function lookIn(ms: number): void {
    clearTimeout(timer)
    // Unref'd: a process is kept alive by the deadline of each wait.
    timer = setTimeout(look, ms).unref()
  }

  function look(): void {
    if (looking) {
      again = true
      return
    }
    if (waiters.size === 0) return
    looking = true
    void lookOnce().finally(() => {
      looking = false
      if (waiters.size === 0) return stop()
      lookIn(again ? LOOK_PAUSE : POLL_EVERY)
      again = false
    })
  }

  async function lookOnce(): Promise<void> {
    const asked = [...waiters]
    try {
      const { jobs } = await session.open()
      const ids = [...new Set(asked.map((waiter) => waiter.id))]
      const records = new Map<string, JobRecord>()
      for (let i = 0; i < ids.length; i += IDS_PER_LOOK)
        for (const record of await jobs.get({ ids: ids.slice(i, i + IDS_PER_LOOK) }))
          records.set(record.envelope.id, record)
      for (const waiter of asked) {
        const record = records.get(waiter.id)
        if (!record) waiter.reject(new JobNotFoundError(waiter.id))
        else if (isFinished(record.state)) waiter.resolve(record)
      }
    } catch (error) {
      // An outage: the next look may succeed, and every wait has its own deadline. A closed client never comes back.
      if (session.closed) for (const waiter of asked) waiter.reject(error)
      else session.log.debug({ error }, 'Could not look for results; trying again.')
    }
  }

  async function listen(): Promise<void> {
    const { signals } = await session.open()
    if (waiters.size > 0) stopListening ??= signals.on('done', () => (looking ? (again = true) : lookIn(LOOK_PAUSE)))
  }

  function stop(): void {
    clearTimeout(timer)
    stopListening?.()
    stopListening = undefined
  }

  return {
    wait: (id, { timeout, signal }) =>
      new Promise<JobRecord>((resolve, reject) => {
        if (session.closed) return reject(new ClientClosedError())
        if (signal?.aborted) return reject(signal.reason as Error)
        const end = () => {
          clearTimeout(deadline)
          signal?.removeEventListener('abort', onAbort)
          waiters.delete(waiter)
          if (waiters.size === 0) stop()
        }
        const waiter: Waiter = {
          id,
          resolve: (record) => {
            end()
            resolve(record)
          },
          reject: (error) => {
            end()
            reject(error as Error)
          },
        }
        const deadline = setTimeout(
          () => waiter.reject(new ResultTimeoutError(id, timeout)),
          Math.min(timeout, 2 ** 31 - 1),
        )
        const onAbort = () => waiter.reject(signal?.reason)
        signal?.addEventListener('abort', onAbort, { once: true })
        waiters.add(waiter)
        listen().then(look, (error: unknown) => waiter.reject(error))
      }),
    close() {
      for (const waiter of waiters) waiter.reject(new ClientClosedError())
    },
  }
}
