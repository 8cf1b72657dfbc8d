// millrace enqueue: what is checked before a job exists, and what is printed when it does.
import { join } from 'node:path'
import { connect } from 'millrace'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, openPlace, type Place } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
let place: Place
beforeEach(async () => {
  place = openPlace()
  await place.run(['setup', fixture('worker.ts')], { env })
})
afterEach(() => place[Symbol.asyncDispose]())

const enqueue = (args: readonly string[], input?: string) =>
  place.run(['enqueue', ...args], { env, ...(input !== undefined && { input }) })
const jobs = async () => {
  const { stdout } = await place.run(['jobs', 'list', '--json'], { env })
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, any>)
}

describe('a task that the store knows', () => {
  test('prints the id, keeps the queue and priority of the task', async () => {
    const { code, stdout, stderr } = await enqueue(['mail.send', '{"to":"ada@example.com"}'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await jobs()).toMatchObject([
      {
        id: stdout.trim(),
        name: 'mail.send',
        queue: 'mail',
        priority: 7,
        state: 'ready',
        input: { to: 'ada@example.com' },
      },
    ])
  })

  test('flags of the job', async () => {
    await enqueue(['greet', '{"name":"Ada"}', '--delay', '5m', '--priority', '0', '--id', 'my-job', '--unique', 'k'])
    const [job] = await jobs()
    expect(job).toMatchObject({ id: 'my-job', state: 'scheduled', priority: 0, uniqueKey: 'k' })
    expect(Date.parse(job!.dueAt) - Date.parse(job!.enqueuedAt)).toBe(300_000)
  })

  test('the input from standard input', async () => {
    expect((await enqueue(['greet', '-'], '{"name":\n"Zoë"}')).code).toBe(0)
    expect(await jobs()).toMatchObject([{ input: { name: 'Zoë' } }])
  })

  test('a duplicate is no error, and says so', async () => {
    const first = await enqueue(['greet', '{"name":"Ada"}', '--unique', 'k'])
    const again = await enqueue(['greet', '{"name":"Bob"}', '--unique', 'k'])
    const id = first.stdout.trim()
    expect(again).toEqual({ code: 0, stdout: `${id}\n`, stderr: `duplicate: job ${id} stands\n` })
    const json = await enqueue(['greet', '{"name":"Bob"}', '--unique', 'k', '--json'])
    expect(json).toEqual({ code: 0, stdout: `{"id":"${id}","duplicate":true}\n`, stderr: '' })
    expect(await jobs()).toHaveLength(1)
  })

  test('unique functions need --file, which a note says', async () => {
    const without = await enqueue(['order', '{"key":"a"}'])
    expect(without).toMatchObject({
      code: 0,
      stderr: 'note: task "order" makes unique keys or groups in code; --file worker.ts applies them.\n',
    })
    const applied = await enqueue(['order', '{"key":"a"}', '--file', fixture('worker.ts')])
    expect(applied).toMatchObject({ code: 0, stderr: '' })
    expect((await jobs()).map((job) => job.uniqueKey)).toEqual(['a', undefined])
  })

  test('--wait that takes too long: exit code 1, and the job stays', async () => {
    const { code, stdout, stderr } = await enqueue(['greet', '{"name":"Ada"}', '--wait', '--timeout', '50ms'])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^\S{36}\nerror: Job \S{36} has not finished within 50 ms\. It is still queued or running\.\n$/,
    )
    expect(await jobs()).toMatchObject([{ state: 'ready' }])
  })

  test('--wait --json gives id and result in one object; a task without output has none', async () => {
    const worker = place.start(['work', fixture('worker.ts')], { env })
    const greeted = await enqueue(['greet', '{"name":"Ada"}', '--wait', '--json'])
    expect(JSON.parse(greeted.stdout)).toEqual({
      id: expect.any(String),
      duplicate: false,
      result: { text: 'Hello, Ada!' },
    })
    const sent = await enqueue(['mail.send', '{"to":"ada@example.com"}', '--wait'])
    expect(sent).toMatchObject({ code: 0, stdout: '' })
    worker.child.kill()
    expect((await worker.end).code).toBe(0)
  })
})

describe('wrong use: exit code 2, nothing queued', () => {
  test.each<[string[], string | undefined, RegExp]>([
    [
      ['gret', '{"name":"Ada"}'],
      undefined,
      /There is no task "gret"\. Did you mean "greet"\? sqlite:jobs\.db knows: .*mail\.send.* Run `millrace setup worker\.ts` .*--file worker\.ts/,
    ],
    [['nothing-like-it'], undefined, /There is no task "nothing-like-it"\. sqlite:jobs\.db knows: /],
    [
      ['gret', '--file', fixture('worker.ts')],
      undefined,
      /worker\.ts has no handler for a task "gret"\. Did you mean "greet"\? It handles: greet, /,
    ],
    [['greet', "{'name':'Ada'}"], undefined, /The input is no JSON: /],
    [['greet', '-'], '', /The input is no JSON: .* Given: nothing\./],
    [['greet'], undefined, /Input of task "greet" does not fit its schema\. \$: an input is expected$/m],
    [
      ['greet', '{"name":5,"tone":"loud"}'],
      undefined,
      /\$\.name: Instance type "number" is invalid\. Expected "string"; \$\.tone: /,
    ],
    [['greet', '{}'], undefined, /\$: Instance does not have required property "name"$/m],
    [
      ['mail.send', '{"to":"ada","copies":[{"to":"b"},{"to":7}]}'],
      undefined,
      /schema\. \$\.copies\[1\]\.to: Instance type "number" is invalid\. Expected "string"$/m,
    ],
    [['mail.send', '{"to":"a"}'], undefined, /\$\.to: String is too short/],
    [['mail.send', '{"to":"a"}', '--file', fixture('worker.ts')], undefined, /\$\.to: Too small/],
    [['fail', '{"a":1}'], undefined, /Input of task "fail" does not fit its schema\. \$: nothing is expected here/],
    [
      ['greet', '-'],
      JSON.stringify({ name: 'x'.repeat(1024 * 1024) }),
      /Input of task "greet" is 1048587 bytes of JSON; the limit is 1048576/,
    ],
    [['greet', '{"name":"A"}', '--id', ''], undefined, /The job id "" is not allowed/],
    [['greet', '{"name":"A"}', '--file', 'gone.ts'], undefined, /gone\.ts: there is no such file/],
  ])('%j', async (args, input, text) => {
    expectError(await enqueue(args, input), { code: 2, text })
    expect(await jobs()).toEqual([])
  })
})

test('an id that another task has is refused, exit code 1', async () => {
  await enqueue(['fail', '--id', 'mine'])
  expectError(await enqueue(['flaky', '--id', 'mine']), {
    code: 1,
    text: /The id "mine" belongs to a job of task "fail"/,
  })
})

test('a store that knows no tasks says how to make them known', async () => {
  const client = await connect(`sqlite:${join(place.dir, 'empty.db')}`)
  await client.close()
  const refused = await place.run(['enqueue', 'greet', '--url', 'sqlite:empty.db'])
  expectError(refused, {
    code: 2,
    text: /There is no task "greet"\. sqlite:empty\.db knows no tasks yet\. Run `millrace setup/,
  })
})
