// The port of a broker that tells who asked for a job how it ended.
import type { DeadReason, JobError } from '../core/errors.js'

/** How a job ended, told to the process that asked for it. */
export type Reply =
  | { readonly state: 'completed'; readonly result?: string }
  | { readonly state: 'dead'; readonly reason: DeadReason; readonly error: JobError; readonly attempt: number }

/** What a broker without a store offers instead of results: an answer to the process that enqueued the job, while it lives. */
export interface Replies {
  /**
   * Hear how the job ends. To be called before its envelope, which carries the header `REPLY_HEADER`, is published. The
   * listener is called at most once; after the link was lost, perhaps never.
   */
  expect(o: { readonly id: string; onReply(reply: Reply): void }): Promise<() => void>
}
