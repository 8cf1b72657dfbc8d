// POST /tasks/{name} on a broker without a store: no job can be looked up, so a wanted result comes as a reply.
import type { EnqueueOptions } from '../client/types.js'
import { hasCode, type JobFailedError } from '../core/errors.js'
import type { Driver } from '../driver/driver.js'
import { needsStore } from '../driver/bare.js'
import { json } from './answer.js'
import type { OfferedTask } from './catalogue.js'
import type { House } from './context.js'
import { withStoredResult } from './stored-task.js'

/** @throws Problem 501 for an Idempotency-Key, which nobody would recognise when it comes again */
export async function enqueueBare(
  { parts, flow }: House,
  driver: Driver<any>,
  o: {
    readonly request: Request
    readonly offered: OfferedTask
    readonly input: unknown
    readonly options: EnqueueOptions
    /** For how long to wait for the end of the job; 0: not at all. */
    readonly seconds: number
  },
): Promise<Response> {
  const { offered, seconds } = o
  if (o.options.id !== undefined) throw needsStore(driver, 'recognise an Idempotency-Key that comes again')
  const task = withStoredResult(offered.task)
  const job = await flow.write(parts.core.enqueue<any, unknown>(task, o.input, { ...o.options, reply: seconds > 0 }))
  const answer = { id: job.id, duplicate: job.duplicate }
  if (seconds === 0) return json(202, answer)
  const ending = await flow.wait(o.request.signal, (signal) =>
    job.result({ timeout: seconds * 1_000, signal }).then(
      (result) => ({ task: task.name, state: 'completed', result }),
      (error: unknown) => {
        if (hasCode(error, 'ERR_RESULT_TIMEOUT')) return {}
        if (hasCode(error, 'ERR_JOB_FAILED')) return failed(task.name, error as JobFailedError)
        throw error
      },
    ),
  )
  if (ending === undefined) return json(202, answer) // it did not come to a wait
  const status = 'state' in ending ? 200 : 202
  return json(status, { ...answer, ...ending }, { 'preference-applied': `wait=${seconds}` })
}

function failed(task: string, { reason, cause }: JobFailedError) {
  const { name, message } = (cause ?? {}) as Partial<Error>
  return { task, state: 'dead', reason, ...(cause !== undefined && { error: { name, message } }) }
}
