// The file stays small: what removed jobs leave behind goes back to the disk, and a reader that pins the log is survived.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { unchecked } from '../../src/core/schema.js'
import { defineTask } from '../../src/core/task.js'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { SILENT, until } from '../../src/testing/conformance/stage.js'
import { handle } from '../../src/worker/define.js'
import { useFolder } from '../support/folder.js'

const folder = useFolder()
const task = defineTask('big', { input: unchecked<{ text: string }>(), retention: { completed: '1ms' } })
const inputs = (n: number, size: number) => Array.from({ length: n }, () => ({ text: 'x'.repeat(size) }))

describe('a worker', () => {
  it('removes finished jobs and gives their space back, while it works', async () => {
    const file = join(folder(), 'jobs.db')
    const client = await connect(`sqlite:${file}`, { log: SILENT })
    await client.enqueueMany(task, inputs(3_000, 10_000))
    await client.work({ concurrency: 100, handlers: [handle(task, () => {})] })
    const db = new (defaultEngine())(file)
    const value = (pragma: string) => Number(Object.values(db.prepare(`PRAGMA ${pragma}`).all()[0] as object)[0])
    const most = value('page_count')
    await until(async () => (await client.queues.stats('default')).ready === 0, 'the jobs to be done')
    await until(() => value('page_count') < most / 2, 'the file to shrink', 25_000)
    db.close()
    await client.close()
  })

  it('tells of a reader that pins the write-ahead log, works on, and makes the log small afterwards', async () => {
    const file = join(folder(), 'jobs.db')
    const told: string[] = []
    const hear = (_: object | string, message?: string) => void told.push(message ?? '')
    const client = await connect(`sqlite:${file}`, { log: { ...SILENT, warn: hear, info: hear } })
    const reader = new (defaultEngine())(file)
    await client.enqueueMany(task, inputs(1, 10))
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM millrace_jobs').all()
    for (let i = 0; i < 8; i++) await client.enqueueMany(task, inputs(1_000, 10_000))
    const { size } = statSync(`${file}-wal`)
    expect(size).toBeGreaterThan(64 * 1024 * 1024)
    let done = 0
    await client.work({ concurrency: 100, handlers: [handle(task, () => void done++)] })
    await until(() => done > 8_000, 'all to be done')
    await until(() => told.some((line) => /keeps a transaction open/.test(line)), 'the warning')
    reader.exec('COMMIT')
    await until(() => statSync(`${file}-wal`).size < 64 * 1024 * 1024, 'the log to be small')
    await until(() => told.some((line) => /small again/.test(line)), 'the good news')
    reader.close()
    await client.close()
  })
})
