// A handler that blocks the event loop: it keeps its lease while it is within its timeout, hoards nothing, and one that
// never ends is given up.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { unchecked } from '../../src/core/schema.js'
import { defineTask } from '../../src/core/task.js'
import { until } from '../../src/testing/conformance/stage.js'
import { handle } from '../../src/worker/define.js'
import { useFolder } from '../support/folder.js'
import { startNode } from '../support/process.js'

const folder = useFolder()
const LEASE = 600
const task = defineTask('block', { input: unchecked<{ n: number }>() })
const BLOCKER = 'test/sqlite/programs/blocker.mjs'

async function setting() {
  const url = `sqlite:${folder()}/jobs.db?lease=${LEASE}ms`
  const ledger = join(folder(), 'ledger')
  writeFileSync(ledger, '')
  const client = await connect(url)
  const jobs = await client.enqueueMany(
    task,
    [0, 1, 2, 3, 4, 5].map((n) => ({ n })),
  )
  const begun = () => readFileSync(ledger, 'utf8').trim().split('\n')
  return { url, ledger, client, jobs, begun }
}

describe('a handler that blocks the event loop', () => {
  it('keeps its lease, and what its worker took and has not begun goes to others meanwhile', async () => {
    const { url, ledger, client, jobs, begun } = await setting()
    const release = join(folder(), 'release')
    const blocker = startNode([BLOCKER], { env: { URL_: url, LEDGER: ledger, UNTIL: release } })
    await blocker.line(/blocking/)
    const since = performance.now()
    const taken: number[] = []
    await client.work({ handlers: [handle(task, ({ n }) => void taken.push(n))] })
    await Promise.all(jobs.slice(1).map((job) => job.result()))
    // Much longer than a lease: only the beat from beside the event loop can have kept it.
    await until(() => performance.now() - since > 4 * LEASE, 'four leases to pass')
    const blocked = await jobs[0]!.info()
    expect([blocked.state, blocked.run]).toEqual(['active', 1])
    const seen = (await client.workers.list()).find(({ pid }) => pid === blocker.process.pid)!
    expect([seen.state, seen.running, seen.jobs.map(({ id }) => id)]).toEqual(['blocked', 1, [jobs[0]!.id]])
    expect(seen.blockedMs).toBeGreaterThan(LEASE)
    const found = (await client.doctor()).find(({ code }) => code === 'worker-blocked')!
    expect([found.level, found.message]).toEqual([
      'error',
      expect.stringContaining(`It runs block ${jobs[0]!.id} for `),
    ])
    writeFileSync(release, '')
    await jobs[0]!.result()
    expect((await jobs[0]!.info()).run).toBe(1)
    expect(begun()).toEqual(['blocker 0'])
    expect(taken.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5])
    blocker.process.kill('SIGKILL')
    await client.close()
  })

  it('loses it some time after its timeout, and another worker gets the job', async () => {
    const { url, ledger, client, jobs } = await setting()
    const blocker = startNode([BLOCKER], { env: { URL_: url, LEDGER: ledger, TIMEOUT: '300ms' } })
    await blocker.line(/blocking/)
    await client.work({ handlers: [handle(task, () => {})] })
    await Promise.all(jobs.map((job) => job.result({ timeout: '25s' })))
    expect((await jobs[0]!.info()).run).toBe(2)
    expect(blocker.output()).not.toMatch(/went on/)
    blocker.process.kill('SIGKILL')
    await client.close()
  })
})
