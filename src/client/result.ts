// Waiting for results: one look for all waiting ids whenever something finished, with a slow poll behind.
import { LONGEST_TIMER } from '../core/duration.js'
import { ClientClosedError, JobNotFoundError, ResultTimeoutError } from '../core/errors.js'
import { isFinished } from '../core/job.js'
import { needsStore } from '../driver/bare.js'
import type { JobRecord, Jobs, StatefulDriver } from '../driver/driver.js'
import type { Results, WaitOptions } from './job.js'
import type { Ending } from './reply.js'
import type { Session } from './session.js'

const POLL_EVERY = 500
/** Signals come in floods: between two looks pass so many milliseconds, and several times what a look takes. */
const LOOK_PAUSE = 2
const PAUSE_PER_LOOK = 4
/** Every so many polls it is asked anew whether the jobs are still there. */
const POLLS_PER_RECHECK = 20
const IDS_PER_QUERY = 500

/** A wait under way, whatever it waits for. */
interface Wait<T> {
  resolve(ending: T): void
  reject(error: unknown): void
}

interface Waiter extends Wait<JobRecord> {
  readonly id: string
  /** The job was there when it was last asked. */
  seen: boolean
}

export interface ResultWaiters extends Results {
  /** Every wait under way ends with ClientClosedError. */
  close(): void
}

export function createResults<Tx>(session: Session<Tx>): ResultWaiters {
  const waiters = new Set<Waiter>()
  /** For replies: nothing is looked up for them. */
  const expecting = new Set<Wait<Ending>>()
  let stopListening: (() => void) | undefined
  let timer: NodeJS.Timeout | undefined
  let due = Infinity
  let looking = false
  let again = false
  let polls = 0

  /** The next look comes after `ms`, or sooner if one is due sooner. */
  function lookIn(ms: number): void {
    const at = performance.now() + ms
    if (at >= due) return
    clearTimeout(timer)
    due = at
    // Unref'd: a process is kept alive by the deadline of each wait.
    timer = setTimeout(look, ms).unref()
  }

  function look(): void {
    clearTimeout(timer)
    due = Infinity
    if (looking) {
      again = true
      return
    }
    if (waiters.size === 0) return
    looking = true
    const since = performance.now()
    void lookOnce().finally(() => {
      looking = false
      if (waiters.size === 0) return stop()
      const pause = Math.max(LOOK_PAUSE, (performance.now() - since) * PAUSE_PER_LOOK)
      lookIn(again ? pause : POLL_EVERY)
      again = false
    })
  }

  async function lookOnce(): Promise<void> {
    const asked = [...waiters]
    if (++polls % POLLS_PER_RECHECK === 0) for (const waiter of asked) waiter.seen = false
    try {
      const driver = await session.open()
      for await (const batch of batches(asked.filter((waiter) => !waiter.seen))) await firstLook(driver, batch)
      for await (const batch of batches(asked.filter((waiter) => waiter.seen))) await laterLook(driver.jobs, batch)
    } catch (error) {
      // An outage: the next look may succeed, and every wait has its own deadline. A closed client never comes back.
      if (session.closed) for (const waiter of asked) waiter.reject(error)
      else session.log.debug({ error }, 'Could not look for results; trying again.')
    }
  }

  async function firstLook({ jobs, traits }: StatefulDriver<Tx>, batch: readonly Waiter[]): Promise<void> {
    const ends = traits.history === 'final'
    const records = byId(await jobs.get({ ids: batch.map(({ id }) => id) }))
    for (const waiter of batch) {
      const record = records.get(waiter.id)
      // Where only the end is written, a job that is not there may well run.
      if (!record && ends) waiter.seen = true
      else if (!record) waiter.reject(new JobNotFoundError(waiter.id))
      else if (isFinished(record.state)) waiter.resolve(record)
      else waiter.seen = true
    }
  }

  async function laterLook(jobs: Jobs, batch: readonly Waiter[]): Promise<void> {
    const records = byId(await jobs.get({ ids: batch.map(({ id }) => id), finished: true }))
    for (const waiter of batch) {
      const record = records.get(waiter.id)
      if (record) waiter.resolve(record)
    }
  }

  async function listen(): Promise<void> {
    const driver = await session.open()
    if (!driver.traits.remembers)
      throw needsStore(driver, 'keep results, which it only tells to who enqueues with { reply: true }')
    const { signals } = driver
    if (waiters.size === 0) return
    stopListening ??= signals.on('done', () => {
      if (looking) again = true
      else lookIn(LOOK_PAUSE)
    })
  }

  function stop(): void {
    clearTimeout(timer)
    due = Infinity
    stopListening?.()
    stopListening = undefined
  }

  /** A promise with a bound, which ends with the client. `begin` makes the wait known, and answers how to forget it. */
  function bounded<T>(id: string, o: WaitOptions, begin: (wait: Wait<T>) => () => void): Promise<T> {
    const { timeout, signal } = o
    return new Promise<T>((resolve, reject) => {
      if (session.closed) return reject(new ClientClosedError())
      if (signal?.aborted) return reject(signal.reason as Error)
      let forget = () => {}
      const end = () => {
        clearTimeout(deadline)
        signal?.removeEventListener('abort', onAbort)
        forget()
      }
      const wait: Wait<T> = {
        resolve: (ending) => {
          end()
          resolve(ending)
        },
        reject: (error) => {
          end()
          reject(error as Error)
        },
      }
      const late = () => wait.reject(new ResultTimeoutError(id, timeout))
      const deadline = setTimeout(late, Math.min(timeout, LONGEST_TIMER))
      const onAbort = () => wait.reject(signal?.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
      forget = begin(wait)
    })
  }

  return {
    wait: (id, options) =>
      bounded<JobRecord>(id, options, (wait) => {
        const waiter: Waiter = { ...wait, id, seen: false }
        waiters.add(waiter)
        listen().then(
          () => lookIn(0),
          (error: unknown) => waiter.reject(error),
        )
        return () => {
          waiters.delete(waiter)
          if (waiters.size === 0) stop()
        }
      }),
    waitFor: (id, ending, options) =>
      bounded<Ending>(id, options, (wait) => {
        expecting.add(wait)
        void ending.then(wait.resolve)
        return () => void expecting.delete(wait)
      }),
    close() {
      for (const wait of [...waiters, ...expecting]) wait.reject(new ClientClosedError())
    },
  }
}

const byId = (records: readonly JobRecord[]) => new Map(records.map((record) => [record.envelope.id, record]))

/** Parts of bounded size, with a turn of the event loop between two of them. */
async function* batches(waiters: readonly Waiter[]): AsyncGenerator<readonly Waiter[]> {
  for (let i = 0; i < waiters.length; i += IDS_PER_QUERY) {
    if (i > 0) await new Promise<void>((resolve) => setImmediate(resolve))
    yield waiters.slice(i, i + IDS_PER_QUERY)
  }
}
