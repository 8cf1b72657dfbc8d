// The packed package survives a bundler, for the web and for Node.
import { builtinModules } from 'node:module'
import { runInNewContext } from 'node:vm'
import { build, type BuildOptions } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject, GREETER, type Project } from './project.js'

let project: Project
beforeAll(async () => {
  project = await createProject(['zod', 'better-sqlite3', 'amqplib'])
}, 120_000)
afterAll(() => project.remove())

/** The code, what it still imports, and what the bundler warned of. */
async function bundle(program: string, options: BuildOptions) {
  const { outputFiles, metafile, warnings } = await build({
    ...options,
    stdin: { contents: program, resolveDir: project.dir },
    bundle: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
  return { code: outputFiles[0]!.text, imports, warnings: warnings.map(({ text }) => text) }
}

describe('contracts in the web', () => {
  it('run where there is nothing but JavaScript', async () => {
    const program = `
      import { defineQueue, defineTask, exponential } from 'millrace/contracts'
      import { z } from 'zod'
      const input = z.object({ to: z.email() })
      globalThis.task = defineTask('mail.send', { input, queue: defineQueue('mail'), retry: { backoff: exponential('2s') } })
    `
    const { code, imports, warnings } = await bundle(program, { platform: 'browser', format: 'iife', minify: true })
    expect({ imports, warnings }).toEqual({ imports: [], warnings: [] })
    expect(code).not.toMatch(/\bnode:/)
    const world: { task?: { name: string } } = {} // no process, no Buffer, no timers
    runInNewContext(code, world)
    expect(world.task?.name).toBe('mail.send')
  })

  it('are small', async () => {
    const all = `export * from 'millrace/contracts'`
    const { code } = await bundle(all, { platform: 'browser', format: 'esm', minify: true })
    console.log(`millrace/contracts: ${code.length} bytes minified`)
    expect(code.length).toBeLessThan(20 * 1024)
  })
})

describe('a program for Node', () => {
  const program = `
    import { connect, defineTask, handle, unchecked } from 'millrace'
    ${GREETER}
    greet('memory:').then(() => greet('sqlite:bundled.db'))
  `
  const dialling = `
    import { connect } from 'millrace'
    connect('amqp://127.0.0.1:1/').catch(({ message }) => console.log(message))
  `
  const isBuiltin = (path: string) => path.startsWith('node:') && builtinModules.includes(path.slice('node:'.length))

  it.each([
    { format: 'esm', file: 'program.mjs' },
    { format: 'cjs', file: 'program.cjs' },
  ] as const)('as $format needs nothing but Node, and runs jobs', async ({ format, file }) => {
    const { code, imports, warnings } = await bundle(program, { platform: 'node', format })
    expect(warnings).toEqual([])
    expect(imports.filter((path) => !isBuiltin(path))).toEqual([])
    expect(await project.node(`bundled/${file}`, code)).toBe('Hello, Ada!\nHello, Ada!\n')
  })

  it.each([
    { format: 'esm', file: 'dialling.mjs' },
    { format: 'cjs', file: 'dialling.cjs' },
  ] as const)('as $format leaves amqplib where it is installed, and finds it there', async ({ format, file }) => {
    const { code, imports, warnings } = await bundle(dialling, { platform: 'node', format })
    expect(warnings).toEqual([])
    expect(imports.filter((path) => !isBuiltin(path))).toEqual([])
    expect(await project.node(`bundled/${file}`, code)).toMatch(/Nothing listens at amqp:\/\/127\.0\.0\.1:1/)
  })
})
