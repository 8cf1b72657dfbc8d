// Everything that can be wrong with a command line, a worker file or a database: one line, the right exit code, no stack.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, openDatabase, openPlace, type Place } from './cli.js'

const URL = 'sqlite:jobs.db'
const env = { MILLRACE_URL: URL }
let place: Place
beforeEach(() => (place = openPlace()))
afterEach(() => place[Symbol.asyncDispose]())

describe('flags and arguments', () => {
  test.each<[string[], RegExp]>([
    [['jobs', 'list', '--stat', 'dead'], /unknown option '--stat' \(Did you mean --state\?\)/],
    [['work', 'worker.ts', '--processes', '2'], /unknown option '--processes'/],
    [['wrok', 'worker.ts'], /unknown command 'wrok' \(Did you mean work\?\)/],
    [['jobs', 'lst'], /unknown command 'lst' \(Did you mean one of list, ls\?\)/],
    [['work'], /missing required argument 'file'/],
    [['jobs', 'show'], /missing required argument 'id'/],
    [['jobs', 'show', 'a', 'b'], /too many arguments/],
    [
      ['enqueue', 'greet', '--delay', '5 parsecs'],
      /--delay: "5 parsecs" is no duration\. Give a number with a unit: 500ms/,
    ],
    [['enqueue', 'greet', '--delay', '5'], /--delay: "5" is no duration/],
    [['work', 'worker.ts', '--grace', 'soon'], /--grace: "soon" is no duration/],
    [['work', 'worker.ts', '--concurrency', '0'], /--concurrency: "0" is no whole number from 1 to 10000/],
    [['work', 'worker.ts', '--queues', 'a,,b'], /--queues: "a,,b" has an empty name/],
    [['enqueue', 'greet', '--priority', '10'], /--priority: "10" is no whole number from 0 to 9/],
    [['enqueue', 'greet', '--timeout', '1m'], /--timeout goes with --wait/],
    [['enqueue', 'greet', '{name:1}'], /The input is no JSON: .* Given: \{name:1\}\./],
    [
      ['jobs', 'list', '--state', 'deaad'],
      /--state: there is no "deaad"\. Did you mean dead\? Possible: scheduled, ready/,
    ],
    [['jobs', 'list', '--state', 'retrying'], /--state: .* are "scheduled"/],
    [['jobs', 'list', '--reason', 'bored'], /--reason: there is no "bored"\. Possible: failed, crashed/],
    [['jobs', 'list', '--since', 'yesterday'], /--since: "yesterday" is neither a duration such as 2h nor a date/],
    [['jobs', 'list', '--since', '2026-13-45'], /--since: "2026-13-45" is neither/],
    [['jobs', 'list', '--limit', '1001'], /--limit: "1001" is no whole number from 1 to 1000/],
    [['jobs', 'retry'], /Which jobs\? Give their ids, or a filter/],
    [['jobs', 'retry', 'some-id', '--state', 'dead'], /ids of jobs, or a filter, not both/],
    [['jobs', 'retry', '--state', 'dead'], /Refusing to retry jobs without being asked, .* Add --yes\./],
    [['jobs', 'cancel', '--queue', 'mail'], /Refusing to cancel jobs .* Add --yes\./],
    [['jobs', 'delete', 'some-id'], /Refusing to delete jobs .* Add --yes\./],
    [['queues', 'purge', 'mail'], /Refusing to purge "mail" .* Add --yes\./],
  ])('%j', async (args, text) => {
    expectError(await place.run(args, { env }), { code: 2, text })
    expect(existsSync(join(place.dir, 'jobs.db'))).toBe(false)
  })

  test.each([[[]], [['jobs']], [['queues']]])('%j alone: the help on standard error, exit code 2', async (args) => {
    const { code, stdout, stderr } = await place.run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: millrace/)
  })
})

describe('the URL', () => {
  test.each<[string[], RegExp]>([
    [[], /No database was named\. Give --url sqlite:jobs\.db, or set MILLRACE_URL/],
    [['--url', ''], /No database was named/],
    [['--url', 'jobs.db'], /"jobs\.db" is no URL that Millrace knows\. Write sqlite:jobs\.db/],
    [['--url', 'sqlite:'], /"sqlite:" names no file/],
    [['--url', 'sqlite:jobs.db?colour=red'], /there is no setting "colour"/],
    [['--url', 'sqlite:jobs.db?lease=5parsecs'], /lease: "5parsecs" is no duration/],
    [['--url', 'postgres://me:secret@host'], /"postgres:" URLs are not available in this version/],
    [
      ['--url', 'sqlite:jobs.db', '--store', 'sqlite:store.db'],
      /sqlite driver remembers jobs itself, so it cannot be the broker/,
    ],
  ])('%j', async (args, text) => {
    const outcome = await place.run(['jobs', 'list', ...args])
    expectError(outcome, { code: 2, text })
    expect(outcome.stderr).not.toContain('secret')
    expect(existsSync(join(place.dir, 'jobs.db'))).toBe(false)
  })

  test.each([
    ['jobs', 'list'],
    ['queues', 'list'],
    ['enqueue', 'greet', '{"name":"Ada"}'],
    ['jobs', 'show', 'x'],
  ])('%s %s makes no file out of a typing error', async (...args) => {
    expectError(await place.run(args, { env }), { code: 1, text: /jobs\.db: there is no such file/ })
    expect(existsSync(join(place.dir, 'jobs.db'))).toBe(false)
  })

  test('--env-file names the database; the environment goes first', async () => {
    place.write('.env', 'MILLRACE_URL=sqlite:from-file.db\n')
    const args = ['jobs', 'list', '--env-file', '.env']
    expectError(await place.run(args), { code: 1, text: /from-file\.db: there is no such file/ })
    expectError(await place.run(args, { env }), { code: 1, text: /jobs\.db: there is no such file/ })
  })

  test('--env-file that is not there', async () => {
    const { code, stderr } = await place.run(['jobs', 'list', '--env-file', 'gone.env'], { env })
    // 9 and its own words, as long as Node reads the flag too: https://github.com/nodejs/node/issues/54232.
    expect([2, 9]).toContain(code)
    expect(stderr).toMatch(/^[^\n]*gone\.env[^\n]*\n$/)
  })
})

describe('the database', () => {
  test('a folder', async () => {
    place.write('folder/file', '')
    expectError(await place.run(['setup', fixture('worker.ts'), '--url', 'sqlite:folder']), {
      code: 1,
      text: /folder is a folder\. Give the path of a file in it/,
    })
  })

  test('in a folder that does not exist', async () => {
    expectError(await place.run(['setup', fixture('worker.ts'), '--url', 'sqlite:gone/jobs.db']), {
      code: 1,
      text: /the folder .*gone does not exist\. Create it: mkdir -p/,
    })
  })

  test('not a database', async () => {
    place.write('jobs.db', 'this is a letter to my aunt, and no database at all. '.repeat(40))
    expectError(await place.run(['jobs', 'list'], { env }), {
      code: 1,
      text: /jobs\.db: this is no SQLite database/,
    })
  })

  test('without a schema: nothing is made in a database that is not ours', async () => {
    const db = openDatabase(join(place.dir, 'jobs.db'))
    db.exec('CREATE TABLE aunts (name TEXT)')
    expectError(await place.run(['jobs', 'list'], { env }), { code: 1, text: /Run `millrace setup` first/ })
    expect(db.all('SELECT name FROM sqlite_schema')).toEqual([{ name: 'aunts' }])
    db.close()
  })

  test.skipIf(!existsSync('/proc'))('where nothing can be written', async () => {
    expectError(await place.run(['setup', fixture('worker.ts'), '--url', 'sqlite:/proc/jobs.db']), {
      code: 1,
      text: /\/proc\/jobs\.db: cannot be opened/,
    })
  })

  test('locked by another program: an error after 10 seconds, and nothing queued', async () => {
    expect((await place.run(['setup', fixture('worker.ts')], { env })).code).toBe(0)
    const db = openDatabase(join(place.dir, 'jobs.db'))
    db.exec('BEGIN EXCLUSIVE')
    const refused = await place.run(['enqueue', 'greet', '{"name":"Ada"}'], { env })
    db.exec('ROLLBACK')
    expectError(refused, {
      code: 1,
      text: /jobs\.db was locked by another program for 10000 ms, so nothing was written/,
    })
    expect(db.get('SELECT count(*) AS n FROM millrace_jobs')).toEqual({ n: 0 })
    db.close()
  })
})

describe('--verbose', () => {
  test('shows the stack, and that of the cause', async () => {
    place.write('jobs.db', 'no database. '.repeat(100))
    const { code, stderr } = await place.run(['jobs', 'list', '--verbose'], { env })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: jobs\.db: [^\n]+\n/)
    expect(stderr).toMatch(/\n\s+at /)
    expect(stderr).toMatch(/\nCaused by: /)
  })
})
