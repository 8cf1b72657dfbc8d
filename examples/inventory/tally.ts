// Counts what has become of the listed files' jobs, whoever worked on them: this process, another one, an earlier run.
import type { Client, Job, JobInfo } from 'millrace'
import { fileFacts, listedFile } from './tasks.js'

export interface Totals {
  /** Regular files found. */
  listed: number
  /** Of those: had a job already, from an earlier run or another process. */
  known: number
  /** Jobs that ended since this run began. */
  worked: number
  /** Bytes of all files that could be read. */
  bytes: number
  readonly types: Map<string, { files: number; bytes: number }>
  dead: number
  /** The first few of the dead. */
  readonly examples: { path: string; reason: string }[]
}

export interface Tally {
  readonly totals: Totals
  /** Jobs that have not ended, as far as we have looked. */
  readonly open: number
  /** Why the jobs looked at last have not ended, if something holds them up. */
  readonly heldUp: string
  add(jobs: readonly Job[]): void
  /** Look at some of the open jobs; answers how many of them have ended. */
  look(): Promise<number>
}

const PAGE = 500
const EXAMPLES = 10

/** @param o.worker the id of our own worker */
export function createTally(client: Client, o: { worker: string; since: Date }): Tally {
  const totals: Totals = { listed: 0, known: 0, worked: 0, bytes: 0, types: new Map(), dead: 0, examples: [] }
  const open: string[] = []
  let heldUp = ''

  function addDead(path: string, reason: string): void {
    totals.dead += 1
    if (totals.examples.length < EXAMPLES) totals.examples.push({ path, reason })
  }

  function addEnded(job: JobInfo): void {
    if (job.finishedAt && job.finishedAt >= o.since) totals.worked += 1
    const { path } = listedFile.parse(job.input)
    if (job.state === 'cancelled') return addDead(path, 'its job was cancelled')
    if (job.state === 'dead') return addDead(path, job.errors.at(-1)?.message ?? 'its job is dead')
    const { bytes, type } = fileFacts.parse(job.output)
    const sum = totals.types.get(type) ?? { files: 0, bytes: 0 }
    totals.types.set(type, { files: sum.files + 1, bytes: sum.bytes + bytes })
    totals.bytes += bytes
  }

  return {
    totals,
    get open() {
      return open.length
    },
    get heldUp() {
      return heldUp
    },
    add(jobs) {
      totals.listed += jobs.length
      totals.known += jobs.filter((job) => job.duplicate).length
      open.push(...jobs.map((job) => job.id))
    },
    // A page at a time from the front, because jobs end about in the order in which they were enqueued: 40,000 promises of
    // `job.result()` would each be asked about again and again.
    async look() {
      const page = open.slice(0, PAGE)
      if (page.length === 0) return 0
      const { jobs } = await client.jobs.list({ ids: page, limit: PAGE })
      const byId = new Map(jobs.map((job) => [job.id, job]))
      const waiting: string[] = []
      const again: string[] = []
      for (const id of page) {
        const job = byId.get(id)
        if (!job) addDead(`job ${id}`, 'it was removed before it had run')
        else if (job.finishedAt) addEnded(job)
        else (willBeTriedAgain(job) ? again : waiting).push(id)
      }
      open.splice(0, page.length, ...waiting)
      // A job to be tried again goes to the end of the line, here as in the queue.
      open.push(...again)
      const ended = page.length - waiting.length - again.length
      heldUp = ended > 0 ? '' : whyHeldUp(jobs, o.worker)
      return ended
    },
  }
}

const willBeTriedAgain = (job: JobInfo) => job.state === 'scheduled' || (job.state === 'ready' && job.run > 0)

function whyHeldUp(jobs: readonly JobInfo[], ownWorker: string): string {
  const elsewhere = jobs.filter((job) => job.state === 'active' && job.worker !== ownWorker).length
  if (elsewhere > 0) return `${elsewhere} in another worker's hands; should it have died, they come back within 20 s`
  const again = jobs.filter(willBeTriedAgain).length
  return again > 0 ? `${again} to be tried again` : ''
}
