// millrace drain: what it prints, what it refuses, and that a killed run goes on.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { connect, defineTask, type Client } from 'millrace'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, openPlace, type Place } from './cli.js'

const mail = defineTask('mail', { queue: 'mail' })
const ends = ['--from', 'sqlite:old.db', '--to', 'sqlite:new.db']
let place: Place
beforeEach(() => (place = openPlace()))
afterEach(() => place[Symbol.asyncDispose]())

const run = (...args: string[]) => place.run(['drain', ...args])
async function using<T>(file: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(`sqlite:${join(place.dir, file)}`)
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}
/** The source with so many jobs, and an empty destination. */
async function prepare(jobs: number): Promise<void> {
  await using('old.db', (client) => client.enqueueMany(mail, Array<undefined>(jobs).fill(undefined)))
  await using('new.db', async () => {})
}
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

test('says what it would move, moves it, and has nothing left to do', async () => {
  await prepare(3)
  const preview = await run(...ends, '--dry-run')
  expect(preview.code).toBe(0)
  expect(preview.stdout).toMatch(/^QUEUE +WAITING +HELD +ACTIVE +DEAD\nmail +3 +0 +0 +0\n$/)
  expect(preview.stderr).toBe('3 jobs would be moved from sqlite:old.db to sqlite:new.db; nothing was done.\n')
  expect(await run(...ends, '--yes')).toEqual({ code: 0, stdout: 'Moved 3 jobs.\n', stderr: '' })
  expect(await run(...ends, '--yes')).toEqual({ code: 0, stdout: 'Moved 0 jobs.\n', stderr: '' })
  expect(await using('new.db', (client) => client.queues.stats('mail'))).toMatchObject({ ready: 3 })
  expect(await using('old.db', (client) => client.queues.stats('mail'))).toMatchObject({ ready: 0 })
})

test('with --json; a refused job is a line, and fails the command; --give-back gives it back', async () => {
  await prepare(2)
  const id = await using('old.db', async (client) => (await client.enqueue(mail, undefined, { unique: 'k' })).id)
  const holder = await using('new.db', async (client) => (await client.enqueue(mail, undefined, { unique: 'k' })).id)
  expect(lines((await run(...ends, '--dry-run', '--json')).stdout)).toEqual([
    { queue: 'mail', waiting: 3, held: 0, active: 0, dead: 0, dryRun: true },
  ])
  const drained = await run(...ends, '--yes', '--json')
  expect(drained.code).toBe(1)
  const left = { held: 1, waiting: 0, active: 0, dead: 0 }
  expect(lines(drained.stdout)).toEqual([
    { kind: 'refused', id, task: 'mail', queue: 'mail', why: expect.stringMatching(/unique key/) as unknown, holder },
    { kind: 'drained', moved: 2, refused: 1, stopped: false, left },
  ])
  const again = await run(...ends, '--yes')
  expect(again).toMatchObject({ code: 1, stdout: 'Moved 0 jobs.\n' })
  expect(again.stderr).toMatch(`Job ${id} (mail, queue mail) stays held: Job ${holder} holds its unique key`)
  expect(again.stderr).toMatch(/1 job refused, and held at the source\. Run it again later, or with --give-back\./)
  expect(await run(...ends, '--give-back', '--yes')).toMatchObject({
    code: 0,
    stdout: 'Gave 1 job back to the source.\n',
  })
  expect(await using('old.db', (client) => client.queues.stats('mail'))).toMatchObject({ ready: 1 })
})

test('a run that is killed after its first step goes on with the next one', async () => {
  await prepare(1_000)
  for (let i = 0; i < 3; i++) {
    const killed = place.start(['drain', ...ends, '--yes'])
    // Wherever it is by then: at its beginning, between two steps, or done.
    await expect
      .poll(() => using('new.db', async (client) => (await client.queues.list())[0]?.ready ?? 0), { timeout: 20_000 })
      .toBeGreaterThan(i * 200)
    killed.child.kill('SIGKILL')
    await killed.end
  }
  expect(await run(...ends, '--yes')).toMatchObject({ code: 0 })
  expect(await using('new.db', (client) => client.queues.stats('mail'))).toMatchObject({ ready: 1_000 })
  expect((await using('old.db', (client) => client.jobs.list())).jobs).toEqual([])
}, 60_000)

describe('refuses', () => {
  test.each<[string[], RegExp]>([
    [['--to', 'sqlite:new.db', '--yes'], /required option '--from <url>' not specified/],
    [['--from', 'sqlite:old.db', '--yes'], /required option '--to <url>' not specified/],
    [ends, /Refusing to move jobs without being asked, .* Add --yes\./],
    [['--from', 'mysql:x', '--to', 'sqlite:new.db', '--yes'], /"mysql:x" is no URL that Millrace knows/],
    [['--from', 'memory:', '--to', 'sqlite:new.db', '--yes'], /lives in one process/],
    [[...ends, '--url', 'sqlite:x.db', '--yes'], /takes --from and --to .*, not --url or --store/],
    [[...ends, '--dry-run', '--give-back'], /--dry-run or --give-back, not both/],
    [[...ends, '--queue', 'a,,b', '--yes'], /--queue: "a,,b" has an empty name/],
  ])('%j', async (args, text) => {
    expectError(await run(...args), { code: 2, text })
    expect(existsSync(join(place.dir, 'new.db'))).toBe(false)
  })

  test('a source or destination that is not there, and makes none', async () => {
    expectError(await run(...ends, '--yes'), { code: 1, text: /old\.db/ })
    await using('old.db', async () => {})
    expectError(await run(...ends, '--yes'), { code: 1, text: /new\.db/ })
    expect(existsSync(join(place.dir, 'new.db'))).toBe(false)
  })

  test('the same store, under whatever name, and a queue that is not there', async () => {
    await prepare(1)
    const same = await run('--from', 'sqlite:old.db', '--to', `sqlite:${join(place.dir, 'old.db')}`, '--yes')
    expectError(same, { code: 2, text: /Source and destination are the same store\. Nothing was moved\./ })
    expectError(await run(...ends, '--queue', 'no', '--yes'), { code: 2, text: /no queue "no"\. It has: mail\./ })
  })
})
