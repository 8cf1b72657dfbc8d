// `millrace bench`: figures with their counts, and nothing left behind, whatever ends it.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { expectError, openPlace, type Place } from './cli.js'

const CASES = ['bulk-enqueue', 'single-enqueue-1', 'single-enqueue-64', 'drain', 'latency-local-p50']
let place: Place
let env: { TMPDIR: string }
beforeEach(() => {
  place = openPlace()
  env = { TMPDIR: join(place.dir, 'tmp') }
  mkdirSync(env.TMPDIR)
})
afterEach(() => place[Symbol.asyncDispose]())

const linesOf = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

test('without a database it measures in a temporary file, counts every job, and removes the file', async () => {
  const { code, stdout, stderr } = await place.run(['bench', '--jobs', '640', '--json'], { env })
  expect(code).toBe(0)
  const lines = linesOf(stdout)
  expect(lines.map((line) => line['case'])).toEqual(CASES)
  for (const line of lines) {
    expect(line).toMatchObject({ driver: 'sqlite', durability: 'full', node: process.version })
    expect(line['value']).toBeGreaterThan(0)
  }
  expect(lines.map((line) => line['counted'])).toEqual([
    { enqueued: 640, completed: 0, ready: 640 },
    { enqueued: 64, completed: 0, ready: 64 },
    { enqueued: 640, completed: 0, ready: 640 },
    { enqueued: 640, completed: 640, ready: 0 },
    { enqueued: 100, completed: 100, ready: 0 },
  ])
  for (const name of CASES) expect(stderr).toContain(`Measuring ${name} …\n`)
  expect(readdirSync(env.TMPDIR)).toEqual([])
  expect(readdirSync(place.dir).sort()).toEqual(['node_modules', 'tmp'])
})

test('the table has a row for each case', async () => {
  const { code, stdout } = await place.run(['bench', '--jobs', '10'], { env })
  expect(code).toBe(0)
  const [header, ...rows] = stdout.trimEnd().split('\n')
  expect(header).toMatch(/^CASE +FIGURE +JOBS +DONE +WAITING$/)
  expect(rows.map((row) => row.split(' ', 1)[0])).toEqual(CASES)
  expect(rows[3]).toMatch(/^drain +[\d,]+ jobs\/s +10 +10 +0$/)
})

test('with a database it leaves that as it was, and nothing beside it', async () => {
  const url = 'sqlite:jobs.db?lease=30s'
  await place.run(['setup', place.write('worker.ts', WORKER)], { env: { ...env, MILLRACE_URL: url } })
  await place.run(['enqueue', 'go', '--id', 'mine', '--url', url], { env })
  const [before, files] = [readFileSync(join(place.dir, 'jobs.db')), readdirSync(place.dir)]
  const { code, stdout } = await place.run(['bench', '--jobs', '50', '--json', '--url', url], { env })
  expect(code).toBe(0)
  expect(linesOf(stdout)[0]).toMatchObject({ database: url, counted: { enqueued: 50 } })
  expect(readdirSync(place.dir)).toEqual(files)
  expect(readFileSync(join(place.dir, 'jobs.db')).equals(before)).toBe(true)
  expect(readdirSync(env.TMPDIR)).toEqual([])
})

test('a database that is not there yet is not made', async () => {
  const { code } = await place.run(['bench', '--jobs', '10'], {
    env: { ...env, MILLRACE_URL: 'sqlite:new.db?create=false' },
  })
  expect(code).toBe(0)
  expect(readdirSync(place.dir).sort()).toEqual(['node_modules', 'tmp'])
})

test('in memory it measures too', async () => {
  const { code, stdout } = await place.run(['bench', '--jobs', '10', '--json', '--url', 'memory:'], { env })
  expect(code).toBe(0)
  expect(linesOf(stdout)[3]).toMatchObject({ driver: 'memory', durability: 'none', counted: { completed: 10 } })
})

test.each([
  ['SIGINT', [], 'bulk-enqueue'],
  ['SIGTERM', ['--url', 'sqlite:jobs.db'], 'bulk-enqueue'],
  ['SIGINT', ['--jobs', '50000'], 'drain'],
] as const)('%s %j in %s: it fails, and leaves nothing behind', async (signal, flags, name) => {
  // So many jobs that it cannot be done before the signal comes, unless the flags say otherwise.
  const running = place.start(['bench', '--jobs', '1000000', '--json', ...flags], { env })
  await running.until(new RegExp(`Measuring ${name}`))
  running.child.kill(signal)
  running.child.kill(signal) // as npx does
  const { code, stdout, stderr } = await running.end
  expect(stderr).toMatch(new RegExp(`\nerror: Interrupted by ${signal}\\. Nothing was left behind\\.\n$`))
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(readdirSync(env.TMPDIR)).toEqual([])
  expect(readdirSync(place.dir).sort()).toEqual(['node_modules', 'tmp'])
})

test.each([
  [['--jobs', '5'], 2, /--jobs: "5" is no whole number from 10 to 1000000/],
  [['--url', 'sqlite:jobs.db?lose=1'], 2, /there is no setting "lose"/],
  [['--url', 'postgres://localhost'], 2, /not available in this version/],
  [['--url', 'sqlite:nowhere/jobs.db'], 1, /the folder .*nowhere does not exist/],
] as const)('%j is refused in one line', async (flags, code, text) => {
  expectError(await place.run(['bench', ...flags], { env }), { code, text })
  expect(readdirSync(env.TMPDIR)).toEqual([])
})

const WORKER = `
  import { defineTask, defineWorker, handle } from 'millrace'
  export default defineWorker({ handlers: [handle(defineTask('go'), () => {})] })
`
