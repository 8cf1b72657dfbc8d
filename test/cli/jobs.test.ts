// millrace jobs and queues: what they show, and what they change.
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { connect, defineTask, unchecked } from 'millrace'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, hasTerminals, openPlace, type Place } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
let place: Place
beforeEach(async () => {
  place = openPlace()
  await place.run(['setup', fixture('worker.ts')], { env })
})
afterEach(() => place[Symbol.asyncDispose]())

const run = (...args: string[]) => place.run(args, { env })
const rows = (stdout: string) => stdout.trimEnd().split('\n').slice(1)
const ids = async (...args: string[]) =>
  (await run('jobs', 'list', '--json', ...args)).stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { id: string }).id)

const greet = defineTask('greet', { input: unchecked<{ name: string }>(), output: unchecked<object>() })
const inMail = (name: string) => defineTask(name, { queue: 'mail' })

/** Jobs of every kind: one worker had them, and is gone. */
async function seed(): Promise<void> {
  const client = await connect(`sqlite:${join(place.dir, 'jobs.db')}`)
  for (const name of ['fail', 'flaky', 'later']) await client.enqueue(inMail(name), undefined, { id: `${name}-1` })
  const worker = place.start(['work', fixture('worker.ts')], { env })
  await worker.until(/The job is dead/)
  await worker.until(/Attempt 1 of 5 failed/)
  await (await client.enqueue(greet, { name: 'Ada' }, { id: 'done-1' })).result()
  worker.child.kill()
  await worker.end
  await client.enqueue(greet, { name: 'Bob' }, { id: 'delayed-1', delay: '2h' })
  await client.enqueue(greet, { name: 'Eve' }, { id: 'ready-1' })
  await client.close()
}

describe('jobs list and show', () => {
  test('an aligned table that tells retrying from scheduled, without colours', async () => {
    await seed()
    const { code, stdout, stderr } = await run('jobs', 'list')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).not.toContain('\u001b')
    expect(stdout.split('\n')[0]).toMatch(/^ID +TASK +QUEUE +STATE +ATTEMPT +AGE +DUE\/DONE +REMARK$/)
    const lines = rows(stdout).map((line) => line.replace(/ {2,}/g, '|'))
    expect(lines).toEqual([
      expect.stringMatching(/^ready-1\|greet\|default\|ready\|0\|[\d.]+m?s\|\S+ ago$/),
      expect.stringMatching(/^delayed-1\|greet\|default\|scheduled\|0\|[\d.]+m?s\|in 2h$/),
      expect.stringMatching(/^done-1\|greet\|default\|completed\|1\|[\d.]+m?s\|\S+ ago$/),
      expect.stringMatching(/^later-1\|later\|mail\|scheduled\|0\|[\d.]+m?s\|in \S+\|put off by its handler$/),
      expect.stringMatching(/^flaky-1\|flaky\|mail\|retrying\|1\|[\d.]+m?s\|in \S+\|TypeError: not this time$/),
      expect.stringMatching(/^fail-1\|fail\|mail\|dead\|1\|[\d.]+m?s\|\S+ ago\|NonRetryableError: the server said no$/),
    ])
    const starts = rows(stdout).map((line) => line.search(/greet|later|flaky|fail(?= )/))
    expect(new Set(starts.map((start, i) => (i < 3 ? start : starts[0]))).size).toBe(1)
  })

  test('filters', async () => {
    await seed()
    expect(await ids('--state', 'dead')).toEqual(['fail-1'])
    expect(await ids('--state', 'ready,completed')).toEqual(['ready-1', 'done-1'])
    expect(await ids('--task', 'flaky')).toEqual(['flaky-1'])
    expect(await ids('--queue', 'mail', '--error', 'NOT THIS')).toEqual(['flaky-1'])
    expect(await ids('--reason', 'failed')).toEqual(['fail-1'])
    expect(await ids('--since', '1h', '--limit', '2')).toEqual(['ready-1', 'delayed-1'])
    expect(await ids('--since', '2199-01-01')).toEqual([])
    const nothing = await run('jobs', 'ls', '--task', 'nothing')
    expect(nothing).toEqual({ code: 0, stdout: '', stderr: 'No job matches.\n' })
  })

  test('a page that ends early says how to go on', async () => {
    await seed()
    const first = await run('jobs', 'list', '--limit', '4')
    const [, cursor] = /go on with --cursor (\S+)\n$/.exec(first.stderr) ?? []
    const second = await run('jobs', 'list', '--limit', '4', '--cursor', cursor!)
    expect(rows(first.stdout)).toHaveLength(4)
    expect(rows(second.stdout).map((line) => line.split(' ')[0])).toEqual(['flaky-1', 'fail-1'])
    expect(second.stderr).toBe('')
  })

  test('a job that no worker can do says so', async () => {
    const worker = place.start(['work', fixture('worker.ts'), '--queues', 'default'], { env })
    await worker.until(/Worker started/)
    const client = await connect(`sqlite:${join(place.dir, 'jobs.db')}`)
    const job = await client.enqueue(defineTask('unheard.of'))
    await worker.until(/unheard\.of/)
    await client.close()
    worker.child.kill()
    await worker.end
    const { stdout } = await run('jobs', 'list')
    expect(rows(stdout)[0]).toMatch(new RegExp(`^${job.id} +unheard\\.of .* no worker for "unheard\\.of"$`))
  })

  test('show: everything, and as JSON', async () => {
    await seed()
    const dead = await run('jobs', 'show', 'fail-1')
    expect(dead.code).toBe(0)
    expect(dead.stdout).toMatch(/^id +fail-1\ntask +fail\nqueue +mail\nstate +dead\nreason +failed\nattempt +1\n/)
    expect(dead.stdout).toMatch(/\nerror \S+ \(\S+ ago\)\n {2}NonRetryableError: the server said no\n {6}at /)
    expect(dead.stdout).not.toContain('\u001b')
    const json = JSON.parse((await run('jobs', 'show', 'done-1', '--json')).stdout) as Record<string, unknown>
    expect(json).toMatchObject({
      id: 'done-1',
      state: 'completed',
      input: { name: 'Ada' },
      output: { text: 'Hello, Ada!' },
    })
    expect(json['enqueuedAt']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
    expectError(await run('jobs', 'show', 'gone-1'), { code: 1, text: /No job has the id "gone-1"/ })
  })

  test('a reader that goes away is no error', async () => {
    const client = await connect(`sqlite:${join(place.dir, 'jobs.db')}`)
    const text = defineTask('text', { input: unchecked<string>() })
    await client.enqueueMany(
      text,
      Array.from({ length: 200 }, () => 'x'.repeat(2_000)),
    )
    await client.close()
    const listing = place.start(['jobs', 'list', '--json', '--limit', '200'], { env })
    listing.child.stdout!.once('data', () => listing.child.stdout!.destroy())
    const { code, stderr } = await listing.end
    expect({ code, stderr: stderr.replace(/^There may be more.*\n/, '') }).toEqual({ code: 0, stderr: '' })
  })
})

describe('jobs retry, cancel, delete', () => {
  beforeEach(seed)

  test('by id', async () => {
    expect(await run('jobs', 'retry', 'fail-1', 'flaky-1')).toEqual({
      code: 0,
      stdout: 'Retried 2 jobs.\n',
      stderr: '',
    })
    expect(await run('jobs', 'cancel', 'fail-1', '--json')).toEqual({ code: 0, stdout: '{"count":1}\n', stderr: '' })
    expect(await run('jobs', 'delete', 'fail-1', '--yes')).toEqual({ code: 0, stdout: 'Deleted 1 job.\n', stderr: '' })
    expect(await ids('--state', 'dead,cancelled')).toEqual([])
  })

  test('an id that cannot be moved fails, and takes no other with it', async () => {
    const { code, stdout, stderr } = await run('jobs', 'retry', 'done-1', 'gone-1', 'fail-1')
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'Retried 1 job.\n' })
    expect(stderr).toBe(
      'error: Job done-1 is completed, so it was not retried. Only these can be: dead, scheduled.\n' +
        'error: No job has the id "gone-1". It never existed, or it was removed after its retention.\n',
    )
  })

  test('a retry whose unique key is taken names the holder', async () => {
    await run('enqueue', 'fail', '--unique', 'k', '--id', 'fail-2')
    const worker = place.start(['work', fixture('worker.ts')], { env })
    await worker.until(/The job is dead/)
    worker.child.kill()
    await worker.end
    await run('enqueue', 'fail', '--unique', 'k', '--id', 'holder')
    expectError(await run('jobs', 'retry', 'fail-2'), { code: 1, text: /job holder holds its unique key/ })
  })

  test('by filter, with --dry-run first', async () => {
    const dry = await run('jobs', 'cancel', '--task', 'greet', '--dry-run')
    expect(dry.code).toBe(0)
    expect(dry.stderr).toBe('2 jobs would be cancelled; nothing was done.\n')
    expect(rows(dry.stdout).map((line) => line.split(' ')[0])).toEqual(['ready-1', 'delayed-1'])
    expect(await run('jobs', 'cancel', '--task', 'greet', '--dry-run', '--json')).toMatchObject({
      stdout: '{"count":2,"dryRun":true}\n',
    })
    expect(await run('jobs', 'cancel', '--task', 'greet', '--limit', '1', '--yes')).toMatchObject({
      code: 0,
      stdout: 'Cancelled 1 job.\n',
    })
    expect(await ids('--state', 'cancelled')).toEqual(['ready-1'])
    expect(await run('jobs', 'retry', '--error', 'SAID NO', '--yes')).toMatchObject({
      code: 0,
      stdout: 'Retried 1 job.\n',
    })
    expect(await run('jobs', 'retry', '--state', 'scheduled', '--task', 'greet', '--yes')).toMatchObject({
      stdout: 'Retried 1 job.\n',
    })
    expect(await run('jobs', 'delete', '--since', '1h', '--yes')).toMatchObject({
      code: 0,
      stdout: 'Deleted 2 jobs.\n',
    })
    expect(await ids()).toEqual(['delayed-1', 'later-1', 'flaky-1', 'fail-1'])
    expect(await run('jobs', 'delete', '--queue', 'nothing', '--yes')).toMatchObject({
      code: 0,
      stdout: 'Deleted 0 jobs.\n',
    })
  })
})

describe('queues', () => {
  test('list, pause, resume, purge', async () => {
    await seed()
    const { code, stdout } = await run('queues', 'ls')
    expect(code).toBe(0)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/ {2,}/g, '|').trim())
    expect(lines).toEqual([
      'NAME|PAUSED|READY|SCHEDULED|RETRYING|ACTIVE|DEAD|OLDEST',
      expect.stringMatching(/^default\|-\|1\|1\|0\|0\|0\|[\d.]+m?s$/),
      'mail|-|0|1|1|0|1|-',
      'slow|-|0|0|0|0|0|-',
    ])
    expect(await run('queues', 'pause', 'mail')).toEqual({ code: 0, stdout: 'Paused mail.\n', stderr: '' })
    const paused = (await run('queues', 'list', '--json')).stdout.trim().split('\n')
    expect(paused.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { name: 'default', paused: false, ready: 1, scheduled: 1 },
      { name: 'mail', paused: true, retrying: 1, dead: 1 },
      { name: 'slow' },
    ])
    expect(await run('queues', 'resume', 'mail', '--json')).toMatchObject({
      stdout: '{"name":"mail","paused":false}\n',
    })
    expect(await run('queues', 'purge', 'default', '--yes')).toMatchObject({
      code: 0,
      stdout: 'Removed 2 waiting jobs of default.\n',
    })
    expect(await run('queues', 'purge', 'default', '--yes', '--json')).toMatchObject({
      stdout: '{"name":"default","count":0}\n',
    })
    expectError(await run('queues', 'pause', 'mial'), {
      code: 2,
      text: /There is no queue "mial"\. There are: default, mail, slow/,
    })
  })
})

describe.skipIf(!hasTerminals)('on a terminal', () => {
  test('colours, and lines as long as it is wide', async () => {
    await seed()
    const { stdout } = await place.run(['jobs', 'list'], { env, terminal: true })
    expect(stdout).toContain('\u001b[31mdead')
    expect(stdout).toContain('NonRetryableError: the server said no')
    expect(stdout).not.toContain('QUEUE') // made room for the remark
    const widths = stripVTControlCharacters(stdout)
      .split(/\r?\n/)
      .map((line) => line.length)
    expect(Math.max(...widths)).toBeLessThanOrEqual(80)
    const plain = await place.run(['jobs', 'list'], { env: { ...env, NO_COLOR: '1' }, terminal: true })
    expect(plain.stdout).not.toContain('\u001b[31m')
  })

  test('asks, and does nothing without a yes', async () => {
    await seed()
    for (const [answer, code, said] of [
      ['n\r', 1, /error: Nothing was done\./],
      ['\u0004', 1, /error: Nothing was done\./],
      ['y\r', 0, /Cancelled 2 jobs\./],
    ] as const) {
      const asking = place.start(['jobs', 'cancel', '--task', 'greet'], { env, terminal: true })
      await asking.until(/Cancel 2 jobs\? \[y\/N\] /)
      asking.child.stdin!.write(answer)
      const ended = await asking.end
      expect(ended.stdout).toMatch(said)
      expect(ended.code).toBe(code)
    }
  })
})
