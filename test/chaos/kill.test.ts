// Processes die without warning; a ledger of effects shows that nothing is lost and what is done again.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Client } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { unchecked } from '../../src/core/schema.js'
import { until } from '../../src/testing/conformance/stage.js'
import { startNode } from '../support/process.js'

const task = defineTask('chaos', { input: unchecked<{ n: number; poison?: boolean }>() })
const WORKER = 'test/chaos/programs/worker.mjs'
const CONCURRENCY = 10
/** Short, so that the tests are; the default is 15 s. */
const LEASE = 2_000

let folder: string
let url: string
let ledger: string
let client: Client

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-chaos-'))
  url = `sqlite:${folder}/jobs.db?lease=${LEASE}ms`
  ledger = join(folder, 'ledger')
  writeFileSync(ledger, '')
  client = await connect(url)
})

afterEach(async () => {
  await client.close()
  rmSync(folder, { recursive: true })
})

const startWorker = (env: NodeJS.ProcessEnv = {}) =>
  startNode([WORKER], { env: { URL_: url, LEDGER: ledger, CONCURRENCY: String(CONCURRENCY), ...env } })

/** How often each job's handler began, ended, or was told to stop. */
function effects(verb: 'start' | 'end' | 'stopping'): Map<number, number> {
  const counts = new Map<number, number>()
  for (const line of readFileSync(ledger, 'utf8').split('\n')) {
    const [what, n] = line.split(' ')
    if (what === verb) counts.set(Number(n), (counts.get(Number(n)) ?? 0) + 1)
  }
  return counts
}

const finished = async () =>
  (await client.queues.stats('default')).active + (await client.queues.stats('default')).ready === 0 &&
  (await client.queues.stats('default')).retrying === 0

async function states(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (let cursor: string | undefined; ;) {
    const page = await client.jobs.list({ limit: 1000, ...(cursor !== undefined && { cursor }) })
    for (const { state } of page.jobs) counts[state] = (counts[state] ?? 0) + 1
    if ((cursor = page.cursor) === undefined) return counts
  }
}

describe('kill -9 of a worker in the middle of 1,000 jobs', () => {
  it('a second worker finishes them, only what was in flight is done again, and nothing counts as a crash', async () => {
    await client.enqueueMany(
      task,
      Array.from({ length: 1000 }, (_, n) => ({ n })),
    )
    const first = startWorker()
    await until(() => effects('end').size >= 300, '300 finished jobs')
    first.process.kill('SIGKILL')
    expect(await first.ended).toBe('SIGKILL')
    const doneByFirst = new Set(effects('end').keys())
    const startedByFirst = effects('start').size
    const second = startWorker()
    await until(finished, 'the second worker to finish', 60_000)
    second.process.kill('SIGTERM')
    expect(await second.ended).toBe(0)

    expect(await states()).toEqual({ completed: 1000 })
    const starts = effects('start')
    expect(starts.size).toBe(1000)
    const again = [...starts].filter(([, times]) => times > 1)
    // At most what was in the first worker's hands: running, or settled in memory but not yet on disk.
    expect(again.length).toBeLessThanOrEqual(CONCURRENCY * 2)
    expect(Math.max(...starts.values())).toBeLessThanOrEqual(2)
    expect(startedByFirst - doneByFirst.size).toBeLessThanOrEqual(CONCURRENCY)
    const crashed = (await client.jobs.list({ limit: 1000 })).jobs.filter((job) => job.crashes > 0)
    expect(crashed).toEqual([])
  }, 120_000)

  it('jobs that were claimed but had not started come back uncounted', async () => {
    await client.enqueueMany(
      task,
      Array.from({ length: CONCURRENCY }, (_, n) => ({ n })),
    )
    const first = startWorker({ PAUSE: '600000' })
    await until(() => effects('start').size === CONCURRENCY, 'every handler to begin')
    first.process.kill('SIGKILL')
    await first.ended
    const second = startWorker({ PAUSE: '1' })
    await until(finished, 'the second worker to finish', 60_000)
    second.process.kill('SIGTERM')
    await second.ended
    const { jobs } = await client.jobs.list({ limit: 1000 })
    expect(jobs.map((job) => [job.state, job.crashes, job.attempt, job.run])).toEqual(
      Array.from({ length: CONCURRENCY }, () => ['completed', 0, 1, 2]),
    )
  }, 120_000)
})

describe('a poison job that kills its process', () => {
  it('is buried after its limit, and every innocent job is done', async () => {
    await client.enqueueMany(task, [{ n: 0 }, { n: 1 }, { n: 2, poison: true }, { n: 3 }, { n: 4 }])
    const deaths: (number | string)[] = []
    let worker = startWorker({ PAUSE: '1' })
    while ((await states())['dead'] !== 1) {
      const end = await Promise.race([
        worker.ended,
        until(async () => (await states())['dead'] === 1, 'the burial', 60_000),
      ])
      if (end === undefined) break
      deaths.push(end)
      worker = startWorker({ PAUSE: '1' })
    }
    await until(finished, 'the innocent jobs', 60_000)
    worker.process.kill('SIGTERM')
    expect(await worker.ended).toBe(0)
    // One death makes it a suspect, three more are counted.
    expect(deaths).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL', 'SIGKILL'])
    expect(await states()).toEqual({ completed: 4, dead: 1 })
    const [dead] = (await client.jobs.list({ states: ['dead'] })).jobs
    expect([dead!.reason, dead!.crashes, (dead!.input as { n: number }).n]).toEqual(['crashed', 3, 2])
  }, 120_000)
})

describe('kill -9 of a producer right after its last enqueue resolved', () => {
  it.each([1, 64])('with %i at a time, every id is in the file', async (inFlight) => {
    const producer = startNode(['test/chaos/programs/producer.mjs'], {
      env: { URL_: url, TOTAL: '1000', IN_FLIGHT: String(inFlight) },
    })
    expect(await producer.ended).toBe('SIGKILL')
    const ids = producer.output().split('\n')
    expect(new Set(ids).size).toBe(1000)
    const kept = new Set<string>()
    for (let i = 0; i < ids.length; i += 500)
      for (const job of (await client.jobs.list({ ids: ids.slice(i, i + 500), limit: 1000 })).jobs) kept.add(job.id)
    expect(ids.filter((id) => !kept.has(id))).toEqual([])
  })
})

describe('a worker that is frozen past its lease and thawed again', () => {
  it('settles nothing that another has done since', async () => {
    const { id } = await client.enqueue(task, { n: 0 })
    const frozen = startWorker({ PAUSE: '1500' })
    await until(() => effects('start').get(0) === 1, 'the handler to begin')
    frozen.process.kill('SIGSTOP')
    const second = startWorker({ PAUSE: '1' })
    await until(finished, 'the second worker to finish', 60_000)
    const before = await client.jobs.get(id)
    frozen.process.kill('SIGCONT')
    await until(() => effects('end').get(0) === 2, 'the frozen handler to end')
    await frozen.line(/Lost the job|Nothing was written/)
    expect(await client.jobs.get(id)).toEqual(before)
    expect([before!.state, before!.run, before!.attempt, before!.crashes]).toEqual(['completed', 2, 1, 0])
    for (const worker of [frozen, second]) {
      worker.process.kill('SIGTERM')
      expect(await worker.ended).toBe(0)
    }
  }, 120_000)
})

describe('SIGTERM', () => {
  it('sent twice, gives running jobs back unspent at once', async () => {
    await client.enqueueMany(task, [{ n: 0 }, { n: 1 }])
    const worker = startWorker({ PAUSE: '600000' })
    await until(() => effects('start').size === 2, 'both handlers to begin')
    worker.process.kill('SIGTERM')
    await until(() => effects('stopping').size === 2, 'the handlers to be told')
    worker.process.kill('SIGTERM')
    // The handlers never end by themselves and hold the process, so what is awaited is their jobs.
    await until(async () => (await states())['ready'] === 2, 'the jobs to be given back')
    worker.process.kill('SIGKILL')
    await worker.ended
    const { jobs } = await client.jobs.list()
    expect(jobs.map((job) => [job.state, job.attempt, job.crashes])).toEqual([
      ['ready', 0, 0],
      ['ready', 0, 0],
    ])
  }, 60_000)
})
