// What the doctor finds out about a file: each finding made on a real one, where a real one can be brought to it.
import { openSync, writeSync, closeSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Client } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { dbOf, defaultEngine, type Db } from '../../src/drivers/sqlite/engine.js'
import { checkFileSystem, checkSpace } from '../../src/drivers/sqlite/inspect.js'
import { SCHEMA_VERSION } from '../../src/drivers/sqlite/migrations.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { bareMemory } from '../support/bare.js'
import { useFolder } from '../support/folder.js'

const MIB = 1024 * 1024
const folder = useFolder()
const file = () => join(folder(), 'jobs.db')
const ping = defineTask('ping')
let client: Client
let other: Db

beforeEach(async () => {
  client = await connect(`sqlite:${file()}`, { log: SILENT })
  other = dbOf(new (defaultEngine())(file()))
})
afterEach(async () => {
  other.close()
  await client.close()
})

const finding = async (code: string, o: { deep?: boolean } = {}) =>
  (await client.doctor(o)).find((one) => one.code.startsWith(code))

describe('the file', () => {
  it('that is well: schema, durability, size, log and pages', async () => {
    for (const code of ['schema', 'durability', 'file-size', 'wal', 'pages'])
      expect(await finding(code, { deep: true })).toMatchObject({ level: 'ok' })
    expect(await finding('schema')).toMatchObject({ facts: { version: SCHEMA_VERSION } })
    expect(await finding('pages')).toBeUndefined()
  })

  it('whose log a reader holds, until that reader ends', async () => {
    other.exec('CREATE TABLE blobs (data BLOB)')
    const reader = dbOf(new (defaultEngine())(file()))
    reader.exec('BEGIN')
    reader.get('SELECT count(*) AS n FROM blobs')
    other.exec(`INSERT INTO blobs VALUES (zeroblob(${70 * MIB}))`)
    const pinned = await finding('wal')
    expect(pinned).toMatchObject({ code: 'wal-pinned', level: 'warning', advice: /transaction that stays open/ })
    expect(pinned!.facts!['bytes']).toBeGreaterThan(64 * MIB)
    reader.exec('COMMIT')
    reader.close()
    expect(await finding('wal')).toMatchObject({ code: 'wal', level: 'ok', message: /used again/ })
  })

  it('most of which is free, where it cannot give that back by itself', async () => {
    expect(await finding('file-size')).toMatchObject({ level: 'ok' })
    await client.close()
    other.close()
    // A file that had a table before Millrace came is not made for that.
    const old = join(folder(), 'old.db')
    other = dbOf(new (defaultEngine())(old))
    other.exec('CREATE TABLE blobs (data BLOB)')
    client = await connect(`sqlite:${old}`, { log: SILENT })
    other.exec(`INSERT INTO blobs VALUES (zeroblob(${300 * MIB}))`)
    other.exec('DELETE FROM blobs')
    expect(await finding('file-size')).toMatchObject({ level: 'warning', advice: /VACUUM/ })
  })

  it('that a newer version has migrated meanwhile', async () => {
    other.exec(`INSERT INTO millrace_migrations (version, applied_at) VALUES (${SCHEMA_VERSION + 1}, 0)`)
    expect(await finding('schema')).toMatchObject({ level: 'error', advice: /update the package/ })
  })

  it('that lost its write-ahead log', async () => {
    const db = () => client.doctor()
    await client.close()
    expect(other.get('PRAGMA journal_mode = DELETE')).toEqual({ journal_mode: 'delete' })
    client = await connect(`sqlite:${file()}`, { log: SILENT }) // brings it back
    expect((await db()).find(({ code }) => code === 'durability')).toMatchObject({ level: 'ok' })
  })

  it('that keeps the books of a broker, and whose jobs nobody hands over', async () => {
    expect(await finding('handings')).toBeUndefined()
    const pair = await connect({ broker: bareMemory(), store: `sqlite:${file()}` }, { log: SILENT })
    const found = async () => (await pair.doctor()).find((one) => one.code.startsWith('handings'))
    await pair.enqueue(ping, undefined, { delay: '1h' })
    expect(await found()).toMatchObject({ code: 'handings', level: 'ok' })
    other.exec(`UPDATE millrace_jobs SET hand_at = ${Date.now() - 60_000}`)
    expect(await found()).toMatchObject({
      code: 'handings-overdue',
      level: 'error',
      message: /^1 job waits to be handed to the broker, the first since 20/,
      advice: /MILLRACE_STORE/,
      facts: { count: 1 },
    })
    expect(await finding('handings')).toMatchObject({ code: 'handings-overdue' }) // the file alone tells it as well
    await pair.close()
  })

  it('that is damaged, which only a deep look sees', async () => {
    await client.enqueueMany(
      ping,
      Array.from({ length: 500 }, () => undefined),
    )
    await client.close()
    other.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    other.close()
    const [{ size }, fd] = [statSync(file()), openSync(file(), 'r+')]
    writeSync(fd, Buffer.alloc(8192, 0xff), 0, 8192, Math.floor(size / 2 / 4096) * 4096)
    closeSync(fd)
    client = await connect(`sqlite:${file()}`, { log: SILENT, migrate: false })
    other = dbOf(new (defaultEngine())(file()))
    expect(await finding('pages')).toBeUndefined()
    expect(await finding('pages', { deep: true })).toMatchObject({
      level: 'error',
      message: /^The file is damaged: /,
      advice: /backup/,
    })
  })
})

describe('the disk', () => {
  const volume = (o: object) => ({
    type: 0xef53,
    bsize: 4096,
    blocks: (100 * 1024 * MIB) / 4096,
    bfree: 0,
    bavail: (50 * 1024 * MIB) / 4096,
    files: 0,
    ffree: 0,
    ...o,
  })

  it.each([
    [50 * 1024, 'ok'],
    [4 * 1024, 'warning'], // less than 5 %
    [900, 'warning'],
    [99, 'error'],
  ])('with %d MiB of 100 GiB free', (mib, level) => {
    expect(checkSpace(volume({ bavail: (mib * MIB) / 4096 }))).toMatchObject({ code: 'disk-space', level })
  })

  it('whose file system is known to break what it holds', () => {
    if (process.platform !== 'linux') return
    const on = (type: number) => checkFileSystem(volume({ type }), '/data/jobs.db')
    expect(on(0xef53)).toMatchObject({ code: 'file-system', level: 'ok' })
    expect(on(0x6969)).toMatchObject({ level: 'warning', message: '/data is on NFS.', advice: /local disk/ })
    expect(on(0xff534d42)).toMatchObject({ level: 'warning', message: '/data is on CIFS.' })
    expect(on(0x01021994)).toMatchObject({ level: 'warning', advice: /after a restart/ })
  })
})
