// Waiting: for something to become true, asked seldom because asking reads the file that is under test.
import { setTimeout as sleep } from 'node:timers/promises'

/** Monotonic milliseconds, the same clock in every process. */
export const monotonic = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

/** Answers whether it became true within `ms`. */
export async function until(condition: () => boolean | Promise<boolean>, ms: number, every = 25): Promise<boolean> {
  const deadline = monotonic() + ms
  while (!(await condition())) {
    if (monotonic() > deadline) return false
    await sleep(every)
  }
  return true
}

/** Resolves with `promise`, or with `undefined` after `ms`. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const over = new AbortController()
  const late = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}
