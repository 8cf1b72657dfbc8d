// The schema: raced by processes, refused when it is newer, made by setup when migrations are off.
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { SCHEMA_VERSION, tablesOf } from '../../src/drivers/sqlite/migrations.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { useFolder } from '../support/folder.js'
import { startNode } from '../support/process.js'

const folder = useFolder()

describe('the schema', () => {
  it('is made once when six processes race for it', async () => {
    const program = join(folder(), 'race.mjs')
    const dist = join(import.meta.dirname, '../../dist/index.js')
    writeFileSync(
      program,
      `import { connect, defineTask } from ${JSON.stringify(dist)}
       const client = await connect('sqlite:${folder()}/jobs.db')
       await client.enqueue(defineTask('raced'))
       await client.close()`,
    )
    const children = Array.from({ length: 6 }, () => startNode([program]))
    for (const child of children) expect([await child.ended, child.output()]).toEqual([0, ''])
    const client = await connect(`sqlite:${folder()}/jobs.db`)
    expect((await client.jobs.list()).jobs).toHaveLength(6)
    await client.close()
    const db = new (defaultEngine())(join(folder(), 'jobs.db'))
    expect(db.prepare('SELECT version FROM millrace_migrations').all()).toHaveLength(SCHEMA_VERSION)
    db.close()
  })

  it('newer than the code is refused, and nothing is changed', async () => {
    const file = join(folder(), 'jobs.db')
    await (await connect(sqlite({ file }))).close()
    const db = new (defaultEngine())(file)
    db.exec(`INSERT INTO millrace_migrations (version, applied_at) VALUES (${SCHEMA_VERSION + 1}, 0)`)
    db.close()
    await expect(connect(sqlite({ file }), { log: SILENT })).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      message: /newer than this code.*Update the millrace package/,
    })
  })

  it('of version 1 is brought to this one, with its jobs', async () => {
    const file = join(folder(), 'jobs.db')
    const before = await connect(sqlite({ file }))
    const job = await before.enqueue(defineTask('old'))
    await before.close()
    const db = new (defaultEngine())(file)
    db.exec(`
      DROP TABLE millrace_subscriptions; DROP TABLE millrace_events;
      DROP TRIGGER millrace_logs_end; DROP TABLE millrace_logs;
      DROP INDEX millrace_jobs_blocked; DROP INDEX millrace_jobs_suspects;
      DROP INDEX millrace_jobs_handing; DROP INDEX millrace_jobs_hand; ALTER TABLE millrace_jobs DROP COLUMN hand_at;
      ALTER TABLE millrace_jobs DROP COLUMN ticket;
      ALTER TABLE millrace_workers DROP COLUMN beat_at;
      DELETE FROM millrace_migrations WHERE version > 1`)
    // As a worker of version 1 left it: it said less of itself.
    const info = {
      pid: 1,
      host: 'h',
      queues: ['q'],
      tasks: [],
      concurrency: 1,
      running: 0,
      startedAt: 0,
      stopping: false,
    }
    db.prepare('INSERT INTO millrace_workers (id, beat, stopping, info) VALUES (?, 1, 0, ?)').run(
      'w',
      JSON.stringify(info),
    )
    db.close()
    await expect(connect(sqlite({ file }), { migrate: false, log: SILENT })).rejects.toMatchObject({
      message: /has schema version 1, this code needs \d+/,
    })
    const after = await connect(sqlite({ file }))
    expect((await after.jobs.get(job.id))!.state).toBe('ready')
    expect(await after.jobs.logs(job.id)).toEqual([])
    expect(await after.workers.list()).toMatchObject([{ id: 'w', state: 'silent', jobs: [], load: 0 }])
    await after.close()
  })

  it('is not made by a client with migrate: false, which says how to make it', async () => {
    const file = join(folder(), 'jobs.db')
    const options = { migrate: false, log: SILENT }
    await expect(connect(sqlite({ file }), options)).rejects.toMatchObject({ message: /millrace setup/ })
    await (await connect(sqlite({ file }))).close()
    await (await connect(sqlite({ file }), options)).close()
  })

  it('gives different namespaces different tables, also for names that look alike', () => {
    const names = ['a', 'a.b', 'a_b', 'a-b', 'a:b', 'a_2e', undefined, 'jobs'].map((name) => tablesOf(name).jobs)
    expect(new Set(names).size).toBe(names.length)
  })
})
