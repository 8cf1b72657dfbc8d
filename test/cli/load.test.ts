// Worker files: what loads, and what is said of those that do not.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, openPlace, type Place } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
let place: Place
beforeEach(() => (place = openPlace()))
afterEach(() => place[Symbol.asyncDispose]())

const setup = (file: string) => place.run(['setup', file], { env })

describe('what loads', () => {
  const handlers = `[handle(defineTask('go'), async () => {})]`
  test.each<[string, string]>([
    [
      'worker.ts',
      `import { defineTask, defineWorker, handle } from 'millrace'\nexport default defineWorker({ handlers: ${handlers} })`,
    ],
    [
      'options.ts',
      `import { defineTask, handle, type WorkerOptions } from 'millrace'\nconst o: WorkerOptions = { handlers: ${handlers} }\nexport default o`,
    ],
    [
      'function.mts',
      `import { defineTask, defineWorker, handle } from 'millrace'\nexport default defineWorker(async () => ({ handlers: ${handlers} }))`,
    ],
    [
      'await.ts',
      `const { defineTask, defineWorker, handle } = await import('millrace')\nexport default defineWorker({ handlers: ${handlers} })`,
    ],
    [
      'worker.js',
      `import { defineTask, defineWorker, handle } from 'millrace'\nexport default defineWorker({ handlers: ${handlers} })`,
    ],
    [
      'worker.cjs',
      `const { defineTask, defineWorker, handle } = require('millrace')\nmodule.exports = defineWorker({ handlers: ${handlers} })`,
    ],
    [
      'commonjs.ts',
      `const { defineTask, defineWorker, handle } = require('millrace')\nmodule.exports = defineWorker({ handlers: ${handlers} })`,
    ],
  ])('%s', async (name, text) => {
    place.write(name, text)
    const { code, stdout, stderr } = await setup(name)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe('sqlite:jobs.db is ready: 1 queue (default), 1 task (go).\n')
  })

  test('paths of its tsconfig.json, and the one instance of the package that the command itself uses', async () => {
    place.write('tsconfig.json', '{ "compilerOptions": { "paths": { "@tasks/*": ["./tasks/*"] } } }')
    place.write('tasks/go.ts', `import { defineTask } from 'millrace'\nexport const go = defineTask('go')`)
    place.write(
      'worker.ts',
      `import { defineWorker, handle, MillraceError } from 'millrace'
      import { go } from '@tasks/go'
      const same = (globalThis as any)[Symbol.for('test/first')] ?? MillraceError
      export default defineWorker({ handlers: [handle(go, async () => {})] })
      if (same !== MillraceError) throw new Error('two copies')`,
    )
    expect(await setup('worker.ts')).toMatchObject({ code: 0, stderr: '' })
  })

  test('resources of a worker given as a function are opened and closed once', async () => {
    place.write(
      'worker.ts',
      `import { defineTask, defineWorker, handle } from 'millrace'
      export default defineWorker(() => {
        console.error('opened')
        return { handlers: [handle(defineTask('go'), async () => {})], onStop: () => console.error('closed') }
      })`,
    )
    expect(await setup('worker.ts')).toMatchObject({ code: 0, stderr: 'opened\nclosed\n' })
    const enqueued = await place.run(['enqueue', 'go', '--file', 'worker.ts'], { env })
    expect(enqueued).toMatchObject({ code: 0, stderr: 'opened\nclosed\n' })
    const refused = await place.run(['work', 'worker.ts', '--queues', 'mail'], { env })
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(/^opened\nclosed\nerror: queues: no handler of this worker reads queue "mail"/)
  })
})

describe('wrong use: exit code 2', () => {
  test.each<[string, string | undefined, RegExp]>([
    ['gone.ts', undefined, /gone\.ts: there is no such file/],
    ['node_modules', undefined, /node_modules is no file/],
    [
      'number.ts',
      'export default 5',
      /number\.ts exports a number as its default, not a worker\. Write: export default/,
    ],
    ['nothing.ts', '', /nothing\.ts has no default export, and no other export either/],
    ['names.ts', 'export const a = 1, b = 2', /names\.ts has no default export, only a, b/],
    [
      'undefined.ts',
      `import { gone } from 'millrace'\nexport default gone`,
      /undefined\.ts exports undefined as its default/,
    ],
    [
      'task.ts',
      `import { defineTask } from 'millrace'\nexport default defineTask('go')`,
      /task\.ts exports a task as its default/,
    ],
    ['empty.ts', 'export default { handlers: [] }', /handlers: there are none/],
    ['typo.ts', 'export default { handlers: [], concurency: 3 }', /there is no option "concurency"/],
    ['data.json', '{"a":1}', /data\.json .*not a worker|data\.json has no default export/],
  ])('%s', async (name, text, message) => {
    if (text !== undefined) place.write(name, text)
    expectError(await setup(name), { code: 2, text: message })
  })
})

describe('the file fails: exit code 1', () => {
  test.each<[string, string, RegExp]>([
    [
      'throws.ts',
      `\nconst why: string = 'no luck'\nthrow new RangeError(why)`,
      /throws\.ts threw while it was loaded: RangeError: no luck \(throws\.ts:3:\d+\)$/,
    ],
    [
      'later.ts',
      `await Promise.resolve()\nthrow new Error('two\\nlines')`,
      /later\.ts threw .*: two lines \(later\.ts:2:\d+\)$/,
    ],
    [
      'text.ts',
      `throw 'just text'`,
      /text\.ts threw while it was loaded: A value that is no Error was thrown: just text$/,
    ],
    [
      'name.ts',
      `import { defineTask } from 'millrace'\n\nexport default defineTask('bad name!')`,
      /The task name "bad name!" is not allowed.* \(name\.ts:3:\d+\)$/,
    ],
    [
      'syntax.ts',
      `export default {{`,
      /syntax\.ts threw while it was loaded: ParseError: Unexpected token.* syntax\.ts:1:16$/,
    ],
    [
      'import.ts',
      `import { a } from './missing.js'\nexport default a`,
      /import\.ts was found, but something it imports was not: Cannot find module '\.\/missing\.js', imported by import\.ts$/,
    ],
    [
      'package.ts',
      `import { a } from 'no-such-package'\nexport default a`,
      /package\.ts was found, .* Cannot find module 'no-such-package', imported by package\.ts$/,
    ],
    [
      'make.ts',
      `import { defineWorker } from 'millrace'\nexport default defineWorker(() => {\n  throw new Error('no connection')\n})`,
      /make\.ts: the worker's function threw no connection \(make\.ts:3:\d+\)$/,
    ],
  ])('%s', async (name, text, message) => {
    place.write(name, text)
    const outcome = await setup(name)
    expectError(outcome, { code: 1, text: new RegExp(message.source, 'm') })
  })

  test('deep inside: the importer is named', async () => {
    place.write('lib/deep.ts', `import { a } from './missing.js'\nexport { a }`)
    place.write('worker.ts', `import { a } from './lib/deep.js'\nexport default a`)
    expectError(await setup('worker.ts'), { code: 1, text: /'\.\/missing\.js', imported by lib\/deep\.ts$/m })
    expect(existsSync(join(place.dir, 'jobs.db'))).toBe(false)
  })

  test('a function that awaits what never comes', async () => {
    place.write(
      'worker.ts',
      `import { defineWorker } from 'millrace'\nexport default defineWorker(() => new Promise<never>(() => {}))`,
    )
    const { code, stderr } = await place.run(['setup', 'worker.ts', '--url', 'sqlite:jobs.db'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: Stuck: something is awaited/)
  })

  test.each([['work'], ['setup']])('%s: an error nobody handles while it is loaded', async (verb) => {
    place.write(
      'worker.ts',
      `void Promise.reject(new Error('dropped'))\nawait new Promise((done) => setTimeout(done, 10_000))`,
    )
    expectError(await place.run([verb, 'worker.ts'], { env }), {
      code: 1,
      text: /error: dropped \(worker\.ts:1:\d+\)$/m,
    })
  })
})

test('enum, parameter property and .js imports of .ts files', async () => {
  expect(await setup(fixture('worker.ts'))).toMatchObject({
    code: 0,
    stdout:
      'sqlite:jobs.db is ready: 3 queues (default, mail, slow), 7 tasks (greet, mail.send, fail, flaky, later, order, hang).\n',
  })
})
