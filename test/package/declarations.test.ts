// The packed package has types wherever TypeScript looks for them, and they are the real ones.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMPILERS, diagnose, type Compiler } from '../types/compilers.js'
import { createProject, ENTRIES, type Project } from './project.js'

let project: Project
beforeAll(async () => {
  project = await createProject(['zod', '@types/node', 'undici-types'])
}, 120_000)
afterAll(() => project.remove())

const PROGRAM = `
  ${ENTRIES.map((entry, i) => `import * as entry${i} from '${entry}'`).join('\n')}
  import { connect, defineTask, handle } from 'millrace'
  import { z } from 'zod'
  export const entries = [${ENTRIES.map((_, i) => `entry${i}`).join()}]
  const greet = defineTask('greet', { input: z.object({ name: z.string() }), output: z.object({ text: z.string() }) })
  export async function main() {
    const client = await connect('memory:')
    await client.work({ handlers: [handle(greet, async ({ name }) => ({ text: name }))] })
    const { text } = await (await client.enqueue(greet, { name: 'Ada' })).result()
    // @ts-expect-error it is a string: the types are there, and not any
    const wrong: number = text
    return wrong
  }
`
const WEB_PROGRAM = `
  import { defineTask, unchecked } from 'millrace/contracts'
  export const add = defineTask('add', { input: unchecked<{ a: number }>() })
`
const NODE = { strict: true, target: 'es2022', lib: ['es2022'], types: ['node'] }
const WEB = { strict: true, target: 'es2022', lib: ['es2022', 'dom'], types: [] }
const NODENEXT = { module: 'nodenext', moduleResolution: 'nodenext' }
const BUNDLER = { module: 'esnext', moduleResolution: 'bundler' }
const OWN_CODE = { skipLibCheck: true } // without it, every declaration file is checked as well

describe.each(COMPILERS)('%s', { timeout: 120_000 }, (compiler: Compiler) => {
  async function complaints(name: string, type: 'module' | 'commonjs', compilerOptions: object, program = PROGRAM) {
    const folder = `${compiler}-${name}`
    project.write(`${folder}/package.json`, JSON.stringify(type === 'module' ? { type } : {}))
    project.write(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions }))
    project.write(`${folder}/program.ts`, program)
    return diagnose(compiler, join(project.dir, folder))
  }

  it('nodenext, every declaration', async () => {
    expect(await complaints('nodenext', 'module', { ...NODE, ...NODENEXT })).toBe('')
  })
  // Since 5.8 TypeScript knows that Node can require() an ES module.
  it.skipIf(compiler === 'typescript5')('nodenext, in a package of CommonJS', async () => {
    expect(await complaints('commonjs', 'commonjs', { ...NODE, ...NODENEXT, ...OWN_CODE })).toBe('')
  })
  it.each(['module', 'commonjs'] as const)('bundler, in a package of type %s', async (type) => {
    expect(await complaints(`bundler-${type}`, type, { ...NODE, ...BUNDLER, ...OWN_CODE })).toBe('')
  })
  it('contracts in the web, without the types of Node, every declaration', async () => {
    expect(await complaints('web', 'module', { ...WEB, ...BUNDLER }, WEB_PROGRAM)).toBe('')
  })
  it('no such entry point', async () => {
    const program = `import 'millrace/core/errors.js'; export * from 'millrace/nothing'`
    expect(await complaints('nothing', 'module', { ...NODE, ...BUNDLER }, program)).toMatch(/TS2307/)
  })
})
