// What can be wrong with a database file, and what the user is told.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect, createClient } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { useFolder } from '../support/folder.js'
import { stoppedByModes } from '../support/unprivileged.js'

const folder = useFolder()
const ping = defineTask('ping')
const open = (file: string, o = {}) => connect(sqlite({ file }), { log: SILENT, publishTimeout: 200, ...o })

describe('opening a file', () => {
  it('that is a folder', async () => {
    await expect(open(folder())).rejects.toMatchObject({ code: 'ERR_CONFIGURATION', message: /is a folder/ })
  })

  it('in a folder that does not exist', async () => {
    const promise = open(join(folder(), 'no/such/jobs.db'))
    await expect(promise).rejects.toMatchObject({ code: 'ERR_CONFIGURATION', message: /mkdir -p/ })
  })

  it('that is no database, and leaves it as it was', async () => {
    const file = join(folder(), 'notes.txt')
    writeFileSync(
      file,
      'Dear diary, this is no database at all, but long enough to have a header of its own.\n'.repeat(20),
    )
    const before = readFileSync(file)
    await expect(open(file)).rejects.toMatchObject({ code: 'ERR_CONFIGURATION', message: /no SQLite database/ })
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it('that is missing, when it must be there', async () => {
    const file = join(folder(), 'jobs.db')
    await expect(connect(`sqlite:${file}?create=false`)).rejects.toMatchObject({ message: /no such file/ })
    expect(existsSync(file)).toBe(false)
  })

  it('that another program keeps locked, and again once it is free', async () => {
    const file = join(folder(), 'jobs.db')
    await (await open(file)).close()
    const other = new (defaultEngine())(file)
    other.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    const client = createClient(sqlite({ file }), { log: SILENT, publishTimeout: 200 })
    await expect(client.enqueue(ping)).rejects.toMatchObject({ message: /locked by another program for 200 ms/ })
    other.close()
    expect((await client.enqueue(ping)).duplicate).toBe(false)
    await client.close()
  })

  it.skipIf(stoppedByModes([]) === undefined)('that this user may only read (as root: needs setpriv)', async () => {
    const file = join(folder(), 'jobs.db')
    await (await open(file)).close()
    chmodSync(file, 0o444)
    chmodSync(folder(), 0o555)
    const program = `
      const { connect } = await import(${JSON.stringify(join(import.meta.dirname, '../../dist/index.js'))})
      await connect(${JSON.stringify(`sqlite:${file}`)}).then(() => console.log('opened'), (e) => console.log(e.code, e.message))`
    try {
      const [command, ...args] = stoppedByModes(['--input-type=module', '-e', program])!
      expect(execFileSync(command, args, { encoding: 'utf8' })).toMatch(
        /^ERR_CONFIGURATION .*(read-only|cannot be opened)/,
      )
    } finally {
      chmodSync(folder(), 0o755)
    }
  })
})

describe('URLs', () => {
  it.each([
    ['sqlite:', /names no file/],
    ['sqlite://host/jobs.db', /names no file/],
    ['sqlite::memory:', /memory:/],
    ['sqlite:jobs.db?leese=3s', /no setting "leese"/],
    ['sqlite:jobs.db?lease=soon', /lease: "soon" is no duration/],
    ['sqlite:jobs.db?lease=10ms', /lease: 10 ms is too short/],
    ['sqlite:jobs.db?maxCrashes=none', /maxCrashes: NaN/],
    ['sqlite:jobs.db?durability=some', /durability: "some" is neither/],
    ['sqlite:jobs.db?thread=maybe', /thread is true or false/],
  ])('%s is refused', async (url, message) => {
    await expect(connect(url)).rejects.toMatchObject({ code: 'ERR_CONFIGURATION', message })
  })

  it.each([
    ['mysql://user:secret@host/db', 'ERR_CONFIGURATION', /\*\*\*@host/],
    ['jobs.db', 'ERR_CONFIGURATION', /is no URL/],
    ['postgres://localhost/db', 'ERR_UNSUPPORTED', /not available/],
  ])('%s is refused at once', (url, code, message) => {
    expect(() => createClient(url)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })

  it('take spaces and other characters as URLs write them', async () => {
    mkdirSync(join(folder(), 'my jobs'))
    const file = join(folder(), 'my jobs', 'ä.db')
    await (await connect(`sqlite:${encodeURI(file)}`)).close()
    expect(existsSync(file)).toBe(true)
  })
})

describe('a lock that is held for long', () => {
  it('never blocks the event loop, and the enqueue goes through when the lock is free', async () => {
    const file = join(folder(), 'jobs.db')
    const client = await open(file, { publishTimeout: 10_000 })
    const other = new (defaultEngine())(file)
    other.exec('BEGIN IMMEDIATE')
    let turns = 0
    const job = client.enqueue(ping)
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (++turns < 20) return
        clearInterval(timer)
        resolve()
      }, 5)
    })
    other.exec('ROLLBACK')
    other.close()
    await job
    expect(turns).toBe(20)
    await client.close()
  })
})
