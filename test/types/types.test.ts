// The types as users see them: surface.ts and programs/ compiled against dist/ by every compiler the package promises.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMPILERS, diagnose } from './compilers.js'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const ROOT = join(HERE, '../..')
let scratch: string

/** A project inside the repository, so that 'millrace' is found, with one program in it. */
function project(program: string): string {
  const dir = mkdtempSync(join(scratch, 'project-'))
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ extends: join(HERE, 'tsconfig.json'), include: ['.'] }))
  writeFileSync(join(dir, 'program.ts'), program)
  return dir
}

beforeAll(() => {
  if (!existsSync(join(ROOT, 'dist/index.d.ts'))) throw new Error('dist/ is not there. Run: npm run build')
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  scratch = mkdtempSync(join(ROOT, '.cache/types-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe.each(COMPILERS)('%s', { timeout: 120_000 }, (compiler) => {
  it('accepts the surface and the programs', async () => {
    expect(await diagnose(compiler, HERE)).toBe('')
  })

  it('accepts them in a bundler, with looser optional properties', async () => {
    const flags = '--module esnext --moduleResolution bundler --exactOptionalPropertyTypes false'.split(' ')
    expect(await diagnose(compiler, HERE, flags)).toBe('')
  })

  it('needs no types of Node, and no library beyond ES2022', async () => {
    const dir = project(`export { connect } from 'millrace'\nexport { guard } from 'millrace/driver'\n`)
    const flags = '--target es2022 --lib es2022,dom --types --skipLibCheck false'.split(' ')
    expect(await diagnose(compiler, dir, flags)).toBe('')
  })

  it('names the path of what is no JSON', async () => {
    const dir = project(`
      import { z } from 'zod'
      import { defineTask } from 'millrace'
      export const task = defineTask('bad', { input: z.object({ a: z.array(z.object({ at: z.date() })) }) })
    `)
    expect(await diagnose(compiler, dir)).toMatch(/program\.ts\(4,.*'not a JSON value'.*\$\.a\[\]\.at/s)
  })

  // Without this, a compiler that never reads the programs would pass for one that found nothing wrong with them.
  it('finds what is wrong', async () => {
    const good = `
      import { connect, defineTask, unchecked } from 'millrace'
      const add = defineTask('add', { input: unchecked<{ a: number }>(), output: unchecked<number>() })
      const client = await connect('memory:')
      export const sum: number = await (await client.enqueue(add, { a: 1 })).result()
    `
    expect(await diagnose(compiler, project(good))).toBe('')
    expect(await diagnose(compiler, project(good.replace('sum: number', 'sum: string')))).toMatch(
      /program\.ts\(5,.*TS2322/,
    )
    expect(await diagnose(compiler, project(good.replace('{ a: 1 }', "{ a: '1' }")))).toMatch(/program\.ts\(5,.*TS2322/)
    expect(await diagnose(compiler, project(good.replace("'millrace'", "'millrace/nothing'")))).toMatch(/TS2307/)
  })
})
