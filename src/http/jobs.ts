// GET /jobs/{id} and DELETE /jobs/{id}: how a job stands, its result once there is one, and cancelling it.
import { infoOf } from '../client/job.js'
import { hasCode, JobNotFoundError } from '../core/errors.js'
import { isFinished } from '../core/job.js'
import type { JobRecord } from '../driver/driver.js'
import { json } from './answer.js'
import type { Admitted, House } from './context.js'
import { waitOf } from './prefer.js'
import { Problem } from './problem.js'

/** A job as callers from outside see it: no input, no stack, nothing of workers. */
export function jobView(record: JobRecord) {
  const info = infoOf(record)
  const error = info.errors.at(-1)
  return {
    id: info.id,
    task: info.name,
    state: info.state,
    attempt: info.attempt,
    cancelling: info.cancelling,
    enqueuedAt: info.enqueuedAt,
    dueAt: info.dueAt,
    startedAt: info.startedAt,
    finishedAt: info.finishedAt,
    progress: info.progress,
    note: info.note,
    reason: info.reason,
    result: info.output,
    error: error && { name: error.name, message: error.message },
  }
}

export async function readJob(house: House, { request, caller }: Admitted, id: string): Promise<Response> {
  caller.needs('read')
  const record = await found(house, caller, id)
  const seconds = waitOf(request.headers, house.settings.maxWait)
  if (isFinished(record.state) || seconds === 0) return json(200, jobView(record))
  const { record: later, waited } = await waitFor(house, request, record, seconds)
  return json(200, jobView(later), waited ? { 'preference-applied': `wait=${seconds}` } : {})
}

export async function cancelJob(house: House, { caller }: Admitted, id: string): Promise<Response> {
  caller.needs('cancel')
  const before = await found(house, caller, id)
  if (before.state === 'completed' || before.state === 'dead') throw finished(before)
  const { jobs } = await house.parts.session.open()
  await house.flow.write(jobs.move({ ids: [id], to: 'cancelled', limit: 1 }))
  const after = await found(house, caller, id)
  if (after.state === 'cancelled') return json(200, jobView(after)) // also when it was cancelled before: asked again
  if (isFinished(after.state)) throw finished(after)
  return json(202, jobView(after)) // its handler has been told, and has not ended yet
}

/** The job as it stands when it has finished, or when the time is over. `waited`: all of that time was there to wait. */
export async function waitFor(
  { parts, flow }: House,
  request: Request,
  standing: JobRecord,
  seconds: number,
): Promise<{ readonly record: JobRecord; readonly waited: boolean }> {
  const { id } = standing.envelope
  const record = await flow.wait(request.signal, async (signal) => {
    try {
      return await parts.results.wait(id, { timeout: seconds * 1_000, signal })
    } catch (error) {
      if (hasCode(error, 'ERR_RESULT_TIMEOUT')) return 'late'
      throw error
    }
  })
  if (typeof record === 'object') return { record, waited: true }
  const { jobs } = await parts.session.open()
  const [now = standing] = await flow.read(jobs.get({ ids: [id] }))
  return { record: now, waited: record === 'late' }
}

/** A job of a task that the caller may not see is as good as none. @throws JobNotFoundError */
async function found({ parts, flow }: House, caller: Admitted['caller'], id: string): Promise<JobRecord> {
  const [record] = await flow.read(parts.session.open().then(({ jobs }) => jobs.get({ ids: [id] })))
  if (record === undefined || !caller.mayTask(record.envelope.name)) throw new JobNotFoundError(id)
  return record
}

function finished({ envelope, state }: JobRecord): Problem {
  return new Problem('ERR_JOB_FINISHED', `Job ${envelope.id} is ${state} already.`)
}
