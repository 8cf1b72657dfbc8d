// A worker process on RabbitMQ with a store is killed with jobs in hand: another does them, and in the store each is done once.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { unchecked } from '../../src/core/schema.js'
import { defineTask } from '../../src/core/task.js'
import { useFolder } from '../support/folder.js'
import { startNode } from '../support/process.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const folder = useFolder()
const WORKER = 'test/chaos/programs/worker.mjs'
const JOBS = 10
/** Short, so that the test is; the default is 15 s. */
const LEASE = 2_000
const task = defineTask('chaos', { input: unchecked<{ n: number }>() })

await describeRabbitmq('a pair whose worker is killed', (on) => {
  it('its jobs are done by another, once, as suspects and uncounted', { timeout: 60_000 }, async () => {
    const broker = `${on.url}?prefix=killed`
    const store = `sqlite:${join(folder(), 'jobs.db')}?lease=${LEASE}ms`
    const ledger = join(folder(), 'ledger')
    writeFileSync(ledger, '')
    const effects = (verb: 'start' | 'end') =>
      readFileSync(ledger, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith(`${verb} `))
    const worker = (pause: number) =>
      startNode([WORKER], {
        env: { URL_: undefined, MILLRACE_URL: broker, MILLRACE_STORE: store, LEDGER: ledger, PAUSE: String(pause) },
      })
    const client = await connect({ broker, store }, { publishTimeout: '30s' })
    await client.enqueueMany(
      task,
      Array.from({ length: JOBS }, (_, n) => ({ n })),
    )
    const first = worker(600_000)
    await expect.poll(() => effects('start').length, { timeout: 20_000 }).toBe(JOBS)
    const second = worker(1)
    await second.line(/ready/)
    first.process.kill('SIGKILL')
    await first.ended
    const completed = async () => (await client.jobs.list({ states: ['completed'] })).jobs.length
    await expect.poll(completed, { timeout: 30_000 }).toBe(JOBS)
    second.process.kill('SIGTERM')
    expect(await second.ended).toBe(0)
    const { jobs } = await client.jobs.list({ limit: 100 })
    expect(jobs.map(({ state, crashes, attempt, run }) => [state, crashes, attempt, run])).toEqual(
      Array.from({ length: JOBS }, () => ['completed', 0, 1, 2]),
    )
    expect([effects('start').length, effects('end').length]).toEqual([2 * JOBS, JOBS])
    await client.close()
  })
})
