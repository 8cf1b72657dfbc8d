// GET /readyz: whether the store answers, and so whether requests can be taken.
import { json } from './answer.js'
import type { House } from './context.js'

/** A balancer that asks does not wait long. */
const LONGEST = 2_000

export async function readiness({ parts: { session }, settings }: House): Promise<Response> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), Math.min(settings.timeout, LONGEST))
  })
  try {
    await Promise.race([session.open().then((driver) => driver.ping()), late])
    return json(200, { status: 'ok' })
  } catch (error) {
    session.log.debug({ error }, 'Not ready.')
    return json(503, { status: 'unavailable' }, { 'retry-after': '2' })
  } finally {
    clearTimeout(timer)
  }
}
