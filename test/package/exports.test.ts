// What ships is what works: the packed tarball, imported, required, compiled and bundled as users do it.
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMPILERS, diagnose } from '../types/compilers.js'
import { createProject, ENTRIES, type Project } from './project.js'

let project: Project
beforeAll(async () => {
  project = await createProject(['zod', 'better-sqlite3', '@types/node', 'undici-types'])
}, 120_000)
afterAll(() => project.remove())

const GREET = `
  const greet = defineTask('greet', { input: unchecked(), output: unchecked() })
  async function run(url) {
    const client = await connect(url)
    await client.work({ handlers: [handle(greet, ({ name }) => ({ text: 'Hello, ' + name + '!' }))] })
    const job = await client.enqueue(greet, { name: 'Ada' })
    console.log((await job.result({ timeout: '10s' })).text)
    await client.close()
  }
`

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

it('a program in CommonJS runs a job', async () => {
  const program = `
    const { connect, defineTask, handle, unchecked } = require('millrace')
    ${GREET}
    run('memory:').then(() => run('sqlite:required.db'))
  `
  expect(await project.node('job.cjs', program)).toBe('Hello, Ada!\nHello, Ada!\n')
})

it('import loads the library alone: no driver, no command line, no package', async () => {
  const coverage = join(project.dir, 'coverage') // V8 lists every script it loaded there
  await project.node('load.mjs', `import 'millrace'`, { env: { NODE_V8_COVERAGE: coverage } })
  const loaded = readdirSync(coverage)
    .flatMap((file) => JSON.parse(readFileSync(join(coverage, file), 'utf8')).result as { url: string }[])
    .filter(({ url }) => url.startsWith('file:') && !url.endsWith('load.mjs'))
    .map(({ url }) => url.replace(`file://${project.dir}/node_modules/`, ''))
  expect(loaded).toContain('millrace/dist/core/task.js')
  expect(
    loaded.filter(
      (file) => !/^millrace\/dist\/(index|contracts|connect|(core|driver|client|worker|observe)\/)/.test(file),
    ),
  ).toEqual([])
})

describe('two copies of the package', () => {
  it('understand one another: task and handler of one, client of the other', async () => {
    await project.install('other')
    project.write('other/millrace.mjs', `export * from 'millrace'`)
    const program = `
      import { defineTask, handle, NonRetryableError, unchecked } from 'millrace'
      import * as other from './other/millrace.mjs'
      if (defineTask === other.defineTask) throw new Error('this is one copy')
      const add = defineTask('add', { input: unchecked(), output: unchecked(), retry: { maxAttempts: 5 } })
      const fail = defineTask('fail', { retry: { maxAttempts: 5 } })
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
})

describe.each(COMPILERS)('types under %s', { timeout: 120_000 }, (compiler) => {
  const program = `
    ${ENTRIES.map((entry, i) => `import * as entry${i} from '${entry}'`).join('\n')}
    import { connect, defineTask, handle } from 'millrace'
    import { z } from 'zod'
    export const entries = [${ENTRIES.map((_, i) => `entry${i}`).join()}]
    const greet = defineTask('greet', { input: z.object({ name: z.string() }), output: z.object({ text: z.string() }) })
    export async function main() {
      const client = await connect('memory:')
      await client.work({ handlers: [handle(greet, async ({ name }) => ({ text: name }))] })
      const { text } = await (await client.enqueue(greet, { name: 'Ada' })).result()
      // @ts-expect-error a string: the types are there, and not any
      const wrong: number = text
      return wrong
    }
  `
  const resolutions = {
    nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
    bundler: { module: 'esnext', moduleResolution: 'bundler' },
  }
  const cases = [
    ['nodenext', 'module'],
    ['nodenext', 'commonjs'],
    ['bundler', 'module'],
    ['bundler', 'commonjs'],
  ] as const
  // Only since 5.8 does TypeScript know that Node can require() an ES module.
  it.each(
    cases.filter(
      ([resolution, type]) => compiler !== 'typescript5' || resolution !== 'nodenext' || type !== 'commonjs',
    ),
  )('%s, in a package of type %s', async (resolution, type) => {
    const folder = `types-${compiler}-${resolution}-${type}`
    project.write(`${folder}/package.json`, JSON.stringify(type === 'module' ? { type } : {}))
    const options = { strict: true, target: 'es2022', lib: ['es2022', 'esnext.disposable'], types: ['node'] }
    const compilerOptions = { ...options, ...resolutions[resolution] }
    project.write(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions }))
    project.write(`${folder}/program.ts`, program)
    expect(await diagnose(compiler, join(project.dir, folder))).toBe('')
  })

  it('contracts in a web project: no types of Node, and every declaration checked', async () => {
    const folder = `types-${compiler}-web`
    const compilerOptions = {
      strict: true,
      target: 'es2022',
      lib: ['es2022', 'dom'],
      types: [],
      module: 'esnext',
      moduleResolution: 'bundler',
    }
    project.write(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions }))
    project.write(
      `${folder}/program.ts`,
      `import { defineTask, unchecked } from 'millrace/contracts'
      export const add = defineTask('add', { input: unchecked<{ a: number }>() })`,
    )
    expect(await diagnose(compiler, join(project.dir, folder))).toBe('')
  })
})

describe('a bundle', () => {
  const bundle = async (program: string, options: Parameters<typeof build>[0]) => {
    const { outputFiles, metafile, warnings } = await build({
      stdin: { contents: program, resolveDir: project.dir },
      bundle: true,
      write: false,
      metafile: true,
      logLevel: 'silent',
      ...options,
    })
    const { imports } = Object.values(metafile!.outputs)[0]!
    return {
      code: outputFiles![0]!.text,
      imports: imports.map(({ path }) => path),
      warnings: warnings.map(({ text }) => text),
    }
  }

  it('of contracts runs where there is nothing but JavaScript', async () => {
    const program = `
      import { defineQueue, defineTask, exponential } from 'millrace/contracts'
      import { z } from 'zod'
      const input = z.object({ to: z.email() })
      globalThis.task = defineTask('mail.send', { input, queue: defineQueue('mail'), retry: { backoff: exponential('2s') } })
    `
    const web = await bundle(program, { platform: 'browser', format: 'iife', minify: true })
    expect(web.warnings).toEqual([])
    expect(web.code).not.toMatch(/\bnode:/)
    const world: { task?: { name: string } } = {} // no process, no Buffer, no timers
    runInNewContext(web.code, world)
    expect(world.task?.name).toBe('mail.send')
  })

  it('of contracts is small', async () => {
    const { code } = await bundle(`export * from 'millrace/contracts'`, {
      platform: 'browser',
      format: 'esm',
      minify: true,
    })
    console.log(`millrace/contracts, minified: ${code.length} bytes`)
    expect(code.length).toBeLessThan(20 * 1024)
  })

  const program = `
    import { connect, defineTask, handle, unchecked } from 'millrace'
    ${GREET}
    run('memory:').then(() => run('sqlite:bundled.db'))
  `
  it('for Node needs nothing but Node, and runs jobs', async () => {
    const { code, imports, warnings } = await bundle(program, { platform: 'node', format: 'esm' })
    expect(warnings).toEqual([])
    expect(imports.filter((path) => !path.startsWith('node:') || !builtinModules.includes(path.slice(5)))).toEqual([])
    expect(await project.node('bundled/program.mjs', code)).toBe('Hello, Ada!\nHello, Ada!\n')
  })

  it('for Node in CommonJS runs jobs too', async () => {
    const { code, warnings } = await bundle(program, { platform: 'node', format: 'cjs' })
    expect(warnings).toEqual([])
    expect(await project.node('bundled/program.cjs', code)).toBe('Hello, Ada!\nHello, Ada!\n')
  })
})
