// The first program of the README, run as its reader would: copied into a file of a new project.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createProject, type Project } from './project.js'

let project: Project
beforeAll(async () => {
  project = await createProject(['zod', 'better-sqlite3'])
}, 120_000)
afterAll(() => project.remove())

it('prints what its last comment says, and ends', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const program = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1]
  if (program === undefined) throw new Error('README.md has no ```ts block.')
  const flags = ['--import', 'jiti/register'] // Node 20 runs no TypeScript by itself
  expect(await project.node('hello.ts', program, { flags })).toBe("{ text: 'Hello, Ada!' }\n")
  expect(existsSync(join(project.dir, 'hello.db'))).toBe(true)
})
