// Watching one job until it has finished: what its state becomes, what its handler says, and how far it is.
import { setTimeout as sleep } from 'node:timers/promises'
import type { JobInfo, JobLine } from '../client/types.js'
import { partsOf } from '../connect.js'
import { hasCode, JobNotFoundError } from '../core/errors.js'
import { isFinished, type JobState } from '../core/job.js'
import { Failure } from './fail.js'
import type { Client } from './target.js'

export type Told =
  | { readonly kind: 'state'; readonly at: Date; readonly job: JobInfo }
  | { readonly kind: 'progress'; readonly at: Date; readonly progress: number; readonly note?: string }
  | ({ readonly kind: 'line' } & JobLine)

const LOOK_EVERY = 500
/** Signals come in floods. */
const LOOK_PAUSE = 20
const PAGE = 1000

/**
 * What happened so far, then what happens; answers the state in which the job ended.
 * @throws JobNotFoundError for an unknown id; Failure when the job is removed meanwhile
 */
export async function* follow(client: Client, id: string): AsyncGenerator<Told, JobState> {
  const { signals } = await partsOf(client).session.open()
  let wake = () => {}
  const offs = (['work', 'done'] as const).map((topic) => signals.on(topic, () => wake()))
  let before: JobInfo | undefined
  let after = 0
  try {
    for (;;) {
      const woken = new Promise<void>((resolve) => (wake = resolve))
      const job = await client.jobs.get(id)
      if (!job) throw before ? new Failure(`Job ${id} was removed while it was watched.`) : new JobNotFoundError(id)
      // Lines are written before the state that ends their attempt, and so read after it: none is missed.
      const lines = await linesOf(client, id, { after, limit: PAGE })
      after = lines.at(-1)?.n ?? after
      const state = changed(before, job) ? [stateOf(job)] : []
      const said = [...lines.map((line): Told => ({ kind: 'line', ...line })), ...progressOf(before, job)]
      yield* job.state === 'active' ? [...state, ...said] : [...said, ...state]
      before = job
      if (isFinished(job.state)) return job.state
      await Promise.race([woken, pause(LOOK_EVERY)])
      await pause(LOOK_PAUSE)
    }
  } finally {
    for (const off of offs) off()
  }
}

/** What its handler said: nothing where nobody keeps it. */
export async function linesOf(
  client: Client,
  id: string,
  o?: Parameters<Client['jobs']['logs']>[1],
): Promise<readonly JobLine[]> {
  try {
    return await client.jobs.logs(id, o)
  } catch (error) {
    if (hasCode(error, 'ERR_UNSUPPORTED')) return []
    throw error
  }
}

const pause = (ms: number) => sleep(ms)

function changed(before: JobInfo | undefined, job: JobInfo): boolean {
  const mark = (one: JobInfo | undefined) =>
    one && [one.state, one.run, one.attempt, one.cancelling, one.blocked?.why].join(' ')
  return mark(before) !== mark(job)
}

function stateOf(job: JobInfo): Told {
  const at = job.finishedAt ?? (job.state === 'active' ? job.startedAt : undefined) ?? new Date()
  return { kind: 'state', at, job }
}

function progressOf(before: JobInfo | undefined, job: JobInfo): readonly Told[] {
  const { progress, note } = job
  if (progress === undefined || (before?.progress === progress && before.note === note)) return []
  return [{ kind: 'progress', at: job.finishedAt ?? new Date(), progress, ...(note !== undefined && { note }) }]
}
