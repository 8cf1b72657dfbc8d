// docs/guides/rabbitmq-tutorial.md does what it says: its programs before and after are run as they stand on the page.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { defineEvent } from '../../src/core/event.js'
import { on } from '../../src/events/define.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { startNode } from '../support/process.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, 'bin/millrace.js')
const ON_PAGE = 'amqp://localhost'

await describeRabbitmq('the tutorial', (rabbit) => {
  let cwd: string
  beforeEach(() => {
    mkdirSync(join(ROOT, '.cache'), { recursive: true })
    cwd = mkdtempSync(join(ROOT, '.cache/tutorial-'))
    const page = readFileSync(join(ROOT, 'docs/guides/rabbitmq-tutorial.md'), 'utf8')
    for (const [, code = '', file] of page.matchAll(/^```ts\n(\/\/ (\S+\.ts)\n.*?)^```$/gms))
      writeFileSync(join(cwd, file!), code.replaceAll(`'${ON_PAGE}'`, `'${rabbit.url}'`))
    writeFileSync(join(cwd, 'package.json'), '{"type":"module"}')
    symlinkSync(join(ROOT, 'node_modules'), join(cwd, 'node_modules'))
  })
  afterEach(() => rmSync(cwd, { recursive: true, force: true }))

  const program = (file: string) => startNode(['--import', 'jiti/register', file], { cwd })
  const millrace = (...args: string[]) =>
    startNode([BIN, ...args], { cwd, env: { MILLRACE_URL: rabbit.url, MILLRACE_STORE: undefined } })
  const ends = async (one: ReturnType<typeof startNode>) => {
    const code = await one.ended
    expect([code, one.output()]).toEqual([0, expect.any(String)])
    return one.output()
  }

  it('before: a producer and a worker on amqplib', async () => {
    const worker = program('receive.ts')
    await ends(program('send.ts'))
    await worker.line(/^resizing cat\.jpg to 320$/)
    worker.process.kill()
    await worker.ended
  }, 60_000)

  it('after: the same with Millrace, and an amqplib program that publishes to its queue', async () => {
    expect(await ends(millrace('setup', 'worker.ts'))).toMatch(
      /is ready: 1 queue \(resize\), 1 task \(picture\.resize\)/,
    )
    const worker = millrace('work', 'worker.ts')
    await worker.line(/Worker started.* broker=amqp:/)
    await ends(program('produce.ts'))
    await worker.line(/^resizing cat\.jpg to 320$/)
    await ends(
      millrace('enqueue', 'picture.resize', '{"picture":"cat.jpg","width":640}', '--file', 'worker.ts', '--wait'),
    )
    await worker.line(/^resizing cat\.jpg to 640$/)
    await ends(program('send-to-millrace.ts'))
    await worker.line(/^resizing dog\.jpg to 320$/)
    worker.process.kill('SIGTERM')
    await ends(worker)
  }, 120_000)

  it('a subscription that was removed on the command line gets no more copies', async () => {
    const client = await connect(rabbit.url, { log: SILENT })
    try {
      const worker = await client.work({ handlers: [on(defineEvent('picture.taken'), 'album', () => {})] })
      await worker.stop()
      await client.publish(defineEvent('picture.taken'))
      expect(await ends(millrace('subscriptions', 'remove', 'album', '--yes'))).toMatch(/Removed album; 1 waiting job/)
      expect(await client.subscriptions.list()).toEqual([])
    } finally {
      await client.close()
    }
  }, 60_000)

  it('what an operator does with a dead job', async () => {
    const worker = millrace('work', 'worker.ts')
    await worker.line(/Worker started/)
    const wrong = [
      'enqueue',
      'picture.resize',
      '{"picture":"cat.jpg","width":-1}',
      '--queue',
      'resize',
      '--id',
      'wrong',
    ]
    await ends(millrace(...wrong))
    await worker.line(/The job is dead.*job=wrong/)
    expect(await ends(millrace('jobs', 'list', '--state', 'dead'))).toMatch(/^wrong .* dead .*invalid-input/m)
    expect(await ends(millrace('jobs', 'show', 'wrong'))).toMatch(/^reason +invalid-input$[^]*"width": -1/m)
    expect(await ends(millrace('doctor'))).toMatch(/jobs-dead[^]*1 job of task "picture\.resize" died in a day/)
    expect(await ends(millrace('jobs', 'delete', 'wrong', '--yes'))).toBe('Deleted 1 job.')
    const again = millrace('jobs', 'show', 'wrong')
    expect([await again.ended, again.output()]).toEqual([1, expect.stringMatching(/add a store/)])
    worker.process.kill('SIGTERM')
    await ends(worker)
  }, 120_000)
})
