// millrace workers list, doctor, and jobs show with its lines: what an operator sees, on real workers.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { connect, defineTask, unchecked } from 'millrace'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, hasTerminals, openDatabase, openPlace, type Place } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
let place: Place
beforeEach(async () => {
  place = openPlace()
  await place.run(['setup', fixture('operated.ts')], { env })
})
afterEach(() => place[Symbol.asyncDispose]())

const run = (...args: string[]) => place.run(args, { env })
const squeezed = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, '|').trim())
const objects = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const step = defineTask('step', { input: unchecked<{ file: string; fail?: boolean }>() })

async function startWorker() {
  const worker = place.start(['work', fixture('operated.ts')], { env })
  await worker.until(/Worker started/)
  return {
    worker,
    async stop() {
      worker.child.kill('SIGTERM')
      expect((await worker.end).code).toBe(0)
    },
  }
}

/** A job whose handler goes on when the file it was given is there. */
async function enqueue(o: { fail?: boolean } = {}): Promise<{ id: string; goOn(): void }> {
  const client = await connect(`sqlite:${join(place.dir, 'jobs.db')}`)
  const file = join(place.dir, `go-${Date.now()}-${Math.random()}`)
  const { id } = await client.enqueue(step, { file, ...o })
  await client.close()
  return { id, goOn: () => writeFileSync(file, '') }
}

describe('workers list', () => {
  test('without workers says how to start one', async () => {
    expect(await run('workers', 'list')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'No worker runs. Start one: millrace work worker.ts\n',
    })
    expect(await run('workers', 'ls', '--json')).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test('who works and on what, for people and as JSON', async () => {
    const { worker, stop } = await startWorker()
    const job = await enqueue()
    await worker.until(/Waiting\./)
    let listed = ''
    // Until the beat that tells of the job.
    while (!listed.includes(job.id)) listed = (await run('workers', 'list')).stdout
    const lines = squeezed(listed)
    expect(lines[0]).toBe('WORKER|PID|HOST|STATE|SLOTS|LOAD|DELAY|BEAT|QUEUES')
    expect(lines[1]).toMatch(
      new RegExp(
        String.raw`^[0-9a-f-]{36}\|${worker.child.pid}\|\S+\|ok\|1/2\|\d+ %\|\d+(\.\d)?m?s\|\S+ ago\|default$`,
      ),
    )
    expect(lines.slice(2)).toEqual([
      '',
      'JOB|FOR|ATTEMPT|PID|HOST|TASK',
      expect.stringMatching(new RegExp(String.raw`^${job.id}\|[\d.]+m?s\|1\|${worker.child.pid}\|\S+\|step$`)),
    ])
    const [seen, ...others] = objects((await run('workers', 'list', '--json')).stdout)
    expect(others).toEqual([])
    expect(seen).toMatchObject({
      pid: worker.child.pid,
      state: 'ok',
      concurrency: 2,
      running: 1,
      queues: ['default'],
      tasks: ['step', 'killer'],
      jobs: [{ id: job.id, name: 'step', attempt: 1, suspect: false }],
    })
    job.goOn()
    await stop()
  })

  test('a worker that was killed is silent, and what it held are suspects once others take over', async () => {
    const { worker } = await startWorker()
    const client = await connect(`sqlite:${join(place.dir, 'jobs.db')}`)
    const { id } = await client.enqueue(defineTask('killer'))
    await worker.end
    await client.close()
    // As it is a minute later, without waiting for that here.
    const db = openDatabase(join(place.dir, 'jobs.db'))
    db.exec('UPDATE millrace_workers SET beat_at = beat_at - 60000')
    const silent = squeezed((await run('workers', 'list')).stdout)
    expect(silent[1]).toMatch(/\|silent 1(\.\d)?m\|/)
    const found = await run('doctor', '--json')
    expect(found.code).toBe(1)
    expect(objects(found.stdout)[0]).toMatchObject({ code: 'worker-silent', level: 'error' })
    // As the next worker leaves it after the lease.
    db.exec(`UPDATE millrace_jobs SET state = 'ready', suspect = 1, crashes = 1; DELETE FROM millrace_workers`)
    db.close()
    const { stdout, stderr, code } = await run('workers', 'list')
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'No worker runs. Start one: millrace work worker.ts\n' })
    expect(stdout).toContain('Suspects: a worker died with these in hand.')
    expect(stdout).toContain(id)
    expect(squeezed((await run('jobs', 'list', '--suspect')).stdout)[1]).toMatch(new RegExp(`^${id}\\|killer\\|`))
    expect((await run('doctor')).stdout).toMatch(/^warning +jobs-suspect\n.*killer/m)
    expect((await run('jobs', 'cancel', '--suspect', '--yes')).stdout).toBe('Cancelled 1 job.\n')
  })
})

describe('doctor', () => {
  test('all is well: 0, a line for each thing, with --strict too', async () => {
    const { stop } = await startWorker()
    const { code, stdout, stderr } = await run('doctor', '--deep')
    expect(code).toBe(0)
    const codes = squeezed(stdout).map((line) => line.split('|'))
    for (const name of ['store', 'queues', 'jobs', 'schema', 'durability', 'file-size', 'wal', 'pages'])
      expect(codes).toContainEqual(['ok', name, expect.stringMatching(/\.$/)])
    expect(stdout).not.toContain('\u001b')
    expect(stderr).toMatch(/^(All is well\.|0 errors, \d)/)
    await stop()
  })

  test('an error: 1, the worst first, each with what to do', async () => {
    await enqueue()
    const { code, stdout, stderr } = await run('doctor')
    expect(code).toBe(1)
    expect(stdout).toMatch(
      /^error +queue-unread\n +No live worker reads queue "default": 1 job waits in it, .*\n +→ Start a worker .*\nwarning +workers-none\n/,
    )
    expect(stderr).toMatch(/^1 error, \d+ warnings?\. More: docs\/operating\.md\n$/)
    const [first, second, ...rest] = objects((await run('doctor', '--json')).stdout)
    expect(first).toMatchObject({ code: 'queue-unread', level: 'error', facts: { queue: 'default', waiting: 1 } })
    expect(second).toMatchObject({ level: 'warning' })
    expect(rest.at(-1)).toMatchObject({ level: 'ok' })
  })

  test('a warning fails only with --strict', async () => {
    await run('queues', 'pause', 'default')
    await enqueue()
    expect((await run('doctor')).code).toBe(0)
    const strict = await run('doctor', '--strict')
    expect(strict.code).toBe(1)
    expect(strict.stdout).toMatch(/^warning +queue-paused\n.*\n +→ When it may go on: millrace queues resume default$/m)
  })

  test('a database that does not open is a finding; a wrong command line is not', async () => {
    const gone = await place.run(['doctor', '--json', '--url', 'sqlite:gone.db'])
    expect({ code: gone.code, stderr: gone.stderr }).toEqual({ code: 1, stderr: '' })
    expect(objects(gone.stdout)).toEqual([
      expect.objectContaining({ code: 'store', level: 'error', message: expect.stringContaining('no such file') }),
    ])
    expectError(await place.run(['doctor']), { code: 2, text: /No database was named/ })
    expectError(await run('doctor', '--depe'), { code: 2, text: /unknown option '--depe'/ })
  })

  test.skipIf(!hasTerminals)('on a terminal its lines fit', async () => {
    await enqueue()
    const { stdout } = await place.run(['doctor'], { env, terminal: true })
    const lines = stripVTControlCharacters(stdout).split(/\r?\n/)
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    expect(lines.length).toBeGreaterThan(8)
  })
})

describe('jobs show', () => {
  test('has the newest lines, and with --json all of them', async () => {
    const { worker, stop } = await startWorker()
    const job = await enqueue()
    await worker.until(/Waiting\./)
    job.goOn()
    await worker.until(/line 24/)
    await stop()
    const { stdout } = await run('jobs', 'show', job.id)
    const log = stdout.slice(stdout.indexOf('\nlog'))
    expect(log).toMatch(/^\nlog the newest 20 of 26; --json has all\n {2}\S+Z info {2}attempt 1 line 5 n=5\n/)
    expect(log.trimEnd().split('\n').at(-1)).toMatch(/warn {2}attempt 1 line 24 n=24$/)
    const [shown] = objects((await run('jobs', 'show', job.id, '--json')).stdout)
    expect(shown!['log']).toHaveLength(26)
  })

  test('--follow prints what happens as it happens, and ends with the job: 0', async () => {
    const { worker, stop } = await startWorker()
    const job = await enqueue()
    await worker.until(/Waiting\./)
    const [people, programs] = [[], ['--json']].map((flags) =>
      place.start(['jobs', 'show', job.id, '--follow', ...flags], { env }),
    )
    await people!.until(/Waiting\./)
    await people!.until(/progress +50 % half/)
    await programs!.until(/"progress":0.5/)
    job.goOn()
    const { code, stdout, stderr } = await people!.end
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const lines = squeezed(stdout).map((line) => line.replace(/^[^|]+\|/, ''))
    expect(lines.slice(0, 3)).toEqual([
      expect.stringMatching(/^active\|attempt 1, worker [0-9a-f-]{36}$/),
      'info|Waiting.',
      'progress|50 % half',
    ])
    expect(lines.filter((line) => /^(info|warn)\|line/.test(line))).toHaveLength(25)
    expect(lines.at(-1)).toBe('completed')
    const told = await programs!.end
    expect(told.code).toBe(0)
    const events = objects(told.stdout)
    expect(events[0]).toMatchObject({ kind: 'state', id: job.id, state: 'active', attempt: 1 })
    expect(events).toContainEqual(expect.objectContaining({ kind: 'progress', progress: 0.5, note: 'half' }))
    expect(events).toContainEqual(expect.objectContaining({ kind: 'line', level: 'info', text: 'line 3 n=3' }))
    expect(events.at(-1)).toMatchObject({ kind: 'state', state: 'completed' })
    await stop()
  })

  test('--follow of a job that fails, is cancelled, is removed, or never was: 1', async () => {
    const { worker, stop } = await startWorker()
    const failing = await enqueue({ fail: true })
    await worker.until(/Waiting\./)
    const following = place.start(['jobs', 'show', failing.id, '--follow'], { env })
    await following.until(/Waiting\./)
    failing.goOn()
    const failed = await following.end
    expect(failed.code).toBe(1)
    expect(failed.stdout).toMatch(/dead +NonRetryableError: on purpose\n$/)
    await stop()
    const waiting = await enqueue()
    const other = place.start(['jobs', 'show', waiting.id, '--follow'], { env })
    await other.until(/ready/)
    await run('jobs', 'cancel', waiting.id)
    expect(await other.end).toMatchObject({ code: 1, stdout: expect.stringMatching(/cancelled\n$/) })
    const removed = await enqueue()
    const third = place.start(['jobs', 'show', removed.id, '--follow'], { env })
    await third.until(/ready/)
    await run('jobs', 'delete', removed.id, '--yes')
    expect(await third.end).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/was removed while it was watched/),
    })
    expectError(await run('jobs', 'show', 'gone', '--follow'), { code: 1, text: /No job has the id "gone"/ })
  })
})
