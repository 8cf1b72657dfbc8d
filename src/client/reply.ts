// Results without a store: the end of a job, sent to the process that enqueued it.
import { REPLY_HEADER, type Envelope } from '../core/envelope.js'
import { needsStore } from '../driver/bare.js'
import type { Reply } from '../driver/replies.js'
import type { JobRecord, StatefulDriver } from '../driver/driver.js'

/** How a job ended: what its result is made of. */
export type Ending = Pick<JobRecord, 'state' | 'reason' | 'result' | 'errors'>

/** Replies that are expected for jobs about to be published. */
export interface Expected {
  /** The envelope as it is to be published: asking for a reply, if one is expected for it. */
  envelope(envelope: Envelope): Envelope
  /** How the job will have ended; never resolves when the reply gets lost. */
  ending(id: string): Promise<Ending> | undefined
  /** They were not published after all. */
  forget(): void
}

/** Listens before anything is published. @throws UnsupportedError where the broker can send no replies */
export async function expectReplies(driver: StatefulDriver<any>, ids: readonly string[]): Promise<Expected> {
  const { replies } = driver
  if (!replies) throw needsStore(driver, 'answer with the result of a job')
  const endings = new Map<string, Promise<Ending>>()
  const stops = await Promise.all(
    ids.map((id) => {
      let onReply!: (reply: Reply) => void
      endings.set(id, new Promise<Ending>((resolve) => (onReply = (reply) => resolve(endingOf(reply)))))
      return replies.expect({ id, onReply: (reply) => onReply(reply) })
    }),
  )
  return {
    envelope: (one) => (endings.has(one.id) ? { ...one, headers: { ...one.headers, [REPLY_HEADER]: 'true' } } : one),
    ending: (id) => endings.get(id),
    forget: () => stops.forEach((stop) => stop()),
  }
}

function endingOf(reply: Reply): Ending {
  if (reply.state === 'completed')
    return { state: 'completed', errors: [], ...(reply.result !== undefined && { result: reply.result }) }
  return { state: 'dead', reason: reply.reason, errors: [reply.error] }
}
