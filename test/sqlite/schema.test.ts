// The schema: raced by processes, refused when it is newer, made by setup when migrations are off.
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
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
