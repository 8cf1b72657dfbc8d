// The way a user goes: a worker in one terminal, commands in others, all on one file.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fixture, openPlace, type Place } from './cli.js'

const URL = 'sqlite:jobs.db'
const env = { MILLRACE_URL: URL }
let place: Place
beforeEach(() => (place = openPlace()))
afterEach(() => place[Symbol.asyncDispose]())

describe('a worker, and commands beside it', () => {
  test('enqueue --wait prints the result, jobs show tells everything, SIGTERM ends the worker', async () => {
    const worker = place.start(['work', fixture('worker.ts')], { env })
    await worker.until(/Worker started\./)

    const waited = await place.run(['enqueue', 'greet', '{"name":"Ada","tone":"short"}', '--wait'], { env })
    expect(waited).toMatchObject({ code: 0, stdout: '{"text":"Hi Ada"}\n' })
    const id = waited.stderr.trim()

    const shown = await place.run(['jobs', 'show', id], { env })
    expect(shown.code).toBe(0)
    expect(shown.stdout).toMatch(/^state +completed$/m)
    expect(shown.stdout).toContain('input\n  {\n    "name": "Ada",\n    "tone": "short"\n  }\n')
    expect(shown.stdout).toContain('output\n  {\n    "text": "Hi Ada"\n  }\n')

    worker.child.kill('SIGTERM')
    const { code, stdout, stderr } = await worker.end
    expect(code).toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/Worker stopped\./)
    const started = stderr.split('\n').filter((line) => line.includes('Worker started.'))
    expect(started).toHaveLength(1)
    expect(started[0]).toMatch(
      /info +Worker started\. worker=[0-9a-f-]{36} queues=default,mail,slow concurrency=10 database=sqlite:jobs\.db$/,
    )
  })

  test('a failed job makes enqueue --wait fail with its error; show has the TypeScript line', async () => {
    const worker = place.start(['work', fixture('worker.ts'), '--queues', 'mail', '--concurrency', '2'], { env })
    await worker.until(/queues=mail concurrency=2/)
    const failed = await place.run(['enqueue', 'fail', '--wait'], { env })
    expect(failed).toMatchObject({ code: 1, stdout: '' })
    expect(failed.stderr).toMatch(
      /^\S{36}\nerror: Job \S{36} of task "fail" is dead \(failed\): NonRetryableError: the server said no\n$/,
    )
    const shown = await place.run(['jobs', 'show', failed.stderr.slice(0, 36)], { env })
    expect(shown.stdout).toMatch(/at .*worker\.ts:26:/)
    worker.child.kill('SIGINT')
    expect((await worker.end).code).toBe(0)
  })

  test('a handler that hangs keeps nothing: the second signal gives its job back', async () => {
    const worker = place.start(['work', fixture('worker.ts')], { env })
    await worker.until(/Worker started\./)
    await place.run(['enqueue', 'hang'], { env })
    await worker.until(/Hanging\./)
    worker.child.kill('SIGTERM')
    await worker.until(/Send the signal again/)
    worker.child.kill('SIGTERM')
    expect((await worker.end).code).toBe(0)
    const listed = await place.run(['jobs', 'list', '--task', 'hang', '--json'], { env })
    expect(JSON.parse(listed.stdout)).toMatchObject({ state: 'ready', attempt: 0, run: 1 })
  })

  test('--grace bounds how long a signal waits', async () => {
    const worker = place.start(['work', fixture('worker.ts'), '--grace', '50ms'], { env })
    await worker.until(/Worker started\./)
    await place.run(['enqueue', 'hang'], { env })
    await worker.until(/Hanging\./)
    worker.child.kill('SIGTERM')
    expect((await worker.end).code).toBe(0)
  })

  test('--json logs objects, --quiet only warnings', async () => {
    const [loud, quiet] = ['--json', '--quiet'].map((flag) =>
      place.start(['work', fixture('worker.ts'), flag], { env }),
    )
    await loud!.until(/Worker started\./)
    const failed = await place.run(['enqueue', 'fail', '--wait'], { env })
    expect(failed.code).toBe(1)
    loud!.child.kill('SIGTERM')
    const lines = (await loud!.end).stderr.trim().split('\n')
    const objects = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(objects[0]).toMatchObject({ level: 'info', message: 'Worker started.', database: URL, concurrency: 10 })
    // It has no line to wait for: once it has done a job it is there.
    const again = await place.run(['enqueue', 'greet', '{"name":"B"}', '--wait'], { env })
    expect(again.code).toBe(0)
    quiet!.child.kill('SIGTERM')
    const ended = await quiet!.end
    expect(ended.code).toBe(0)
    expect(ended.stderr).not.toMatch(/info/)
  })
})

describe('code of the user that goes wrong', () => {
  const worker = (body: string, onStop = '') => `
    import { defineTask, defineWorker, handle } from 'millrace'
    export default defineWorker({
      handlers: [handle(defineTask('go'), async () => { ${body} })],
      onStop: async () => { ${onStop} },
    })
  `

  test.each([
    ['a rejection nobody handles', 'void Promise.reject(new TypeError("lost it"))'],
    ['an exception in a timer', 'setImmediate(() => { throw new TypeError("lost it") })'],
  ])('%s ends the worker as a crash, with exit code 1, and names what ran', async (_what, body) => {
    place.write('worker.ts', worker(body))
    const running = place.start(['work', 'worker.ts'], { env })
    await running.until(/Worker started\./)
    await place.run(['enqueue', 'go'], { env })
    const { code, stderr } = await running.end
    expect(code).toBe(1)
    expect(stderr).toMatch(/error Nobody caught TypeError: lost it \(worker\.ts:4:\d+\)\. The worker ends/)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  test('a job whose handler throws outside of its promise is buried, and ends no fifth process', async () => {
    const throwing =
      'setTimeout(() => { throw new Error("boom") }, 20); await new Promise(() => setInterval(() => {}, 1e6))'
    place.write('worker.ts', worker(throwing))
    await place.run(['setup', 'worker.ts'], { env })
    await place.run(['enqueue', 'go', '--id', 'poison'], { env })
    for (let death = 1; death <= 4; death++) {
      const { code, stderr } = await place.run(['work', 'worker.ts'], { env })
      expect(code).toBe(1)
      expect(stderr).toMatch(/1 job had begun\..*poison/)
    }
    const { stdout } = await place.run(['jobs', 'show', 'poison'], { env })
    expect(stdout).toMatch(/reason +crashed/)
    expect(stdout).toMatch(/crashes +3/)
  })

  test('onStop that throws: exit code 1 and its error', async () => {
    place.write('worker.ts', worker('', 'throw new Error("cannot close")'))
    const running = place.start(['work', 'worker.ts'], { env })
    await running.until(/Worker started\./)
    running.child.kill('SIGTERM')
    const { code, stderr } = await running.end
    expect(code).toBe(1)
    expect(stderr).toMatch(/\nerror: cannot close\n$/)
  })

  test('onStop that hangs: the third signal leaves at once', async () => {
    place.write(
      'worker.ts',
      worker('', 'console.error("Closing."); await new Promise(() => setInterval(() => {}, 1000))'),
    )
    const running = place.start(['work', 'worker.ts'], { env })
    await running.until(/Worker started\./)
    running.child.kill('SIGTERM')
    await running.until(/Closing\./)
    running.child.kill('SIGTERM')
    running.child.kill('SIGINT')
    const { code, stderr } = await running.end
    expect(code).toBe(1)
    expect(stderr).toMatch(/error Leaving at once\./)
  })

  test('handles that it leaves open do not keep any command', async () => {
    place.write('worker.ts', `setInterval(() => {}, 1000)\n${worker('')}`)
    expect((await place.run(['setup', 'worker.ts'], { env })).code).toBe(0)
    expect((await place.run(['enqueue', 'go', '--file', 'worker.ts'], { env })).code).toBe(0)
  })
})
