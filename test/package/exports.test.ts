// What ships is what works: the packed package, imported and required as users do it.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject, ENTRIES, GREETER, type Project } from './project.js'

let project: Project
beforeAll(async () => {
  project = await createProject(['better-sqlite3'])
}, 120_000)
afterAll(() => project.remove())

describe('every entry point', () => {
  it('is imported', async () => {
    const program = `
      for (const entry of ${JSON.stringify(ENTRIES)})
        if (Object.keys(await import(entry)).length === 0) throw new Error(entry + ' exports nothing')
      console.log('ok')
    `
    expect(await project.node('import.mjs', program)).toBe('ok\n')
  })

  it('is required from CommonJS, and is the same module', async () => {
    const program = `
      const entries = ${JSON.stringify(ENTRIES)}.map((entry) => [entry, require(entry)])
      void (async () => {
        for (const [entry, required] of entries) {
          const imported = await import(entry)
          for (const name of Object.keys(imported))
            if (required[name] !== imported[name]) throw new Error(entry + ': ' + name + ' differs')
        }
        console.log('ok')
      })()
    `
    expect(await project.node('require.cjs', program)).toBe('ok\n')
  })
})

it('a program in CommonJS runs jobs', async () => {
  const program = `
    const { connect, defineTask, handle, unchecked } = require('millrace')
    ${GREETER}
    greet('memory:').then(() => greet('sqlite:required.db'))
  `
  expect(await project.node('jobs.cjs', program)).toBe('Hello, Ada!\nHello, Ada!\n')
})

it('an import loads the library alone: no driver, no command line, and of packages croner only', async () => {
  const coverage = join(project.dir, 'coverage') // where V8 lists every script that it loaded
  await project.node('load.mjs', `import 'millrace'`, { env: { NODE_V8_COVERAGE: coverage } })
  const loaded = readdirSync(coverage)
    .flatMap((file) => (JSON.parse(readFileSync(join(coverage, file), 'utf8')) as { result: { url: string }[] }).result)
    .filter(({ url }) => url.startsWith('file:') && !url.endsWith('load.mjs'))
    .map(({ url }) => url.replace(`file://${project.dir}/node_modules/`, ''))
  expect(loaded).toContain('millrace/dist/core/task.js')
  const library =
    /^millrace\/dist\/((index|contracts|connect|drain)\.js|(core|driver|client|worker|events|schedules|observe)\/)/
  const others = loaded.filter((file) => !library.test(file))
  expect(others).toEqual([expect.stringMatching(/node_modules\/croner\/dist\/croner\.js$/)])
})

it('without amqplib everything but RabbitMQ works, and RabbitMQ says what to install', async () => {
  expect(ENTRIES).toContain('millrace/rabbitmq')
  const program = `
    import { connect } from 'millrace'
    import { rabbitmq } from 'millrace/rabbitmq'
    for (const target of ['amqp://localhost', rabbitmq({ hosts: 'localhost' })])
      await connect(target).catch((error) => console.log(error.message))
  `
  const said = 'RabbitMQ needs the package amqplib, which could not be loaded. Run: npm i amqplib@^2.1.0'
  expect((await project.node('no-amqplib.mjs', program)).trim().split('\n')).toEqual([said, said])
})

it('two copies understand one another: task and handler of one, client and handler of the other', async () => {
  await project.install('other')
  project.write('other/millrace.mjs', `export * from 'millrace'`)
  const program = `
    import { defineTask, handle, NonRetryableError, unchecked } from 'millrace'
    import * as other from './other/millrace.mjs'
    if (defineTask === other.defineTask) throw new Error('this is one copy')
    const add = defineTask('add', { input: unchecked(), output: unchecked() })
    const fail = defineTask('fail')
    const client = await other.connect('memory:')
    await client.work({
      handlers: [
        handle(add, ({ a, b }) => a + b),
        other.handle(fail, () => { throw new NonRetryableError('no use') }),
      ],
    })
    const sum = await (await client.enqueue(add, { a: 1, b: 2 })).result()
    const job = await client.enqueue(fail)
    const error = await job.result().catch((error) => error)
    console.log(sum, error.code, error instanceof other.JobFailedError, (await job.info()).attempt)
    await client.close()
  `
  expect(await project.node('copies.mjs', program)).toBe('3 ERR_JOB_FAILED true 1\n')
})
