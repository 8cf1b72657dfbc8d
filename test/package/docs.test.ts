// The code in the documentation: all of it compiles, and the walkthrough of docs/start.md does what it says.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/http/problem.js'
import { startNode, startProgram } from '../support/process.js'
import { COMPILERS, diagnose } from '../types/compilers.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
let dir: string

beforeEach(() => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  dir = mkdtempSync(join(ROOT, '.cache/docs-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** The blocks of TypeScript on a page, named by their first line where it is `// name.ts`. */
function blocksOf(page: string): { file: string; code: string }[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), ([, code = ''], i) => ({
    file: /^\/\/ (\S+\.ts)\n/.exec(code)?.[1] ?? `block-${i}.ts`,
    code,
  }))
}

/** What the pages take for granted: names that stand for the reader's own. */
const READERS = `
import type { Client, Event, Job, Producer, Task } from 'millrace'
import type { OpenOptions } from 'millrace/testing'
import type { StatefulDriver } from 'millrace'
declare global {
  const client: Client
  const greet: Task<{ name: string }, { name: string }, { text: string }, { text: string }>
  const job: Job<{ text: string }>
  const id: string
  type Mail = { to: string; template: 'welcome' | 'receipt' }
  const input: Mail
  const inputs: Mail[]
  const orderPaid: Event<'order.paid', { orderId: string; email: string }, { orderId: string; email: string }>
  const sendMail: Task<Mail, Mail, void, void>
  const sendWelcome: Task<{ name: string }, { name: string }, void, void>
  const reply: { code(status: number): { send(text: string): void } }
  function openSmtp(): Promise<{ send(to: string, template: string, o: object): Promise<void>; close(): Promise<void> }>
  function signUp(jobs: Producer, address: string): Promise<void>
  function mine(o: OpenOptions): StatefulDriver
  function test(name: string, body: () => Promise<void>): void // jest's
  function expect(value: unknown): { toEqual(expected: unknown): void }
}
`

async function compile(blocks: readonly { file: string; code: string }[]): Promise<string> {
  for (const { file, code } of blocks) writeFileSync(join(dir, file), `${code}\nexport {}\n`)
  writeFileSync(join(dir, 'readers.ts'), READERS)
  const compilerOptions = { allowImportingTsExtensions: true, noEmit: true, noUnusedLocals: false }
  writeFileSync(
    join(dir, 'tsconfig.json'),
    JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: ['.'] }),
  )
  return diagnose(COMPILERS.at(-1)!, dir)
}

describe('the code on a page', () => {
  it('would be found out if it were wrong', async () => {
    const wrong = { file: 'block-0.ts', code: "await client.enqueue(greet, { nme: 'Ada' })" }
    expect(await compile([wrong])).toMatch(/block-0\.ts.*nme/)
  })

  it.each([
    'README.md',
    'docs/start.md',
    'docs/concepts.md',
    'docs/guides/moving.md',
    'docs/guides/rabbitmq-tutorial.md',
    'docs/drivers/rabbitmq.md',
    'docs/operating.md',
    'docs/drivers.md',
    'docs/errors.md',
    'docs/guides/events.md',
    'docs/guides/schedules.md',
    'docs/guides/testing.md',
    'docs/guides/gateway.md',
    'docs/performance.md',
    'docs/chaos.md',
    'ARCHITECTURE.md',
  ])(
    '%s compiles',
    async (page) => {
      expect(await compile(blocksOf(page))).toBe('')
    },
    60_000,
  )
})

describe('docs/operating.md', () => {
  it('says of every finding of the doctor what it means and what to do', () => {
    const [, text = ''] = readFileSync(join(ROOT, 'docs/operating.md'), 'utf8').split('## The doctor')
    const rows = Array.from(text.matchAll(/^\| `([a-z-]+)`/gm), ([, code]) => code)
    const sources = [
      'client/doctor.ts',
      'client/findings.ts',
      'client/worker-findings.ts',
      'client/event-findings.ts',
      'client/schedule-findings.ts',
      'drivers/sqlite/inspect.ts',
      'drivers/rabbitmq/inspect.ts',
    ]
    const codes = sources.flatMap((file) =>
      Array.from(
        readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/\b(?:code: |code = |leftOver\()'([a-z-]+)'/g),
        ([, code]) => code,
      ),
    )
    expect(codes.length).toBeGreaterThan(20)
    expect(new Set(rows)).toEqual(new Set(codes))
  })
})

describe('docs/guides/gateway.md', () => {
  const text = readFileSync(join(ROOT, 'docs/guides/gateway.md'), 'utf8')

  it('has a line for every code of a problem, with its status', () => {
    const [, errors = ''] = text.split('## Errors')
    const rows = Array.from(errors.matchAll(/^\| `(ERR_[A-Z_]+)` +\| (\d+)/gm), ([, code, status]) => [
      code,
      Number(status),
    ])
    expect(Object.fromEntries(rows)).toEqual(PROBLEMS)
  })

  it('has requests that do what it says', async () => {
    for (const { file, code } of blocksOf('docs/start.md')) writeFileSync(join(dir, file), code)
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
    const env = { MILLRACE_URL: 'sqlite:hello.db' }
    const bin = join(ROOT, 'bin/millrace.js')
    const worker = startNode([bin, 'work', 'worker.ts'], { cwd: dir, env })
    await worker.line(/Worker started/)
    const server = startNode([bin, 'gateway', '--port', '0', '--json'], { cwd: dir, env })
    const { url } = JSON.parse(await server.line(/^\{"url"/)) as { url: string }
    const blocks = Array.from(text.matchAll(/^```sh\n(.*?)^```$/gms), ([, code = '']) => code)
    const script = blocks.filter((code) => code.includes('curl')).join('\necho\n')
    const run = startProgram(
      'sh',
      ['-ec', script.replaceAll('curl ', 'curl -sS -w "\\n%{http_code}\\n" ').replaceAll('localhost:8787', url)],
      { cwd: dir },
    )
    expect(await run.ended).toBe(0)
    const statuses = run.output().match(/^\d{3}$/gm)
    // queued, delayed, waited for, with a key, (looked at, cancelled), structured, binary, batched
    expect(statuses).toEqual('202 202 200 202 200 200 202 202 202'.split(' '))
    expect(run.output()).toContain('"result":{"text":"Hello, Ada!"}')
    for (const one of [worker, server]) {
      one.process.kill('SIGTERM')
      expect(await one.ended).toBe(0)
    }
  }, 60_000)
})

describe('docs/start.md', () => {
  it('leads to a job that runs in the worker and answers in the other terminal', async () => {
    for (const { file, code } of blocksOf('docs/start.md')) writeFileSync(join(dir, file), code)
    writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
    const env = { MILLRACE_URL: 'sqlite:hello.db' }
    const bin = join(ROOT, 'bin/millrace.js')
    const worker = startNode([bin, 'work', 'worker.ts'], { cwd: dir, env })
    await worker.line(/Worker started/)
    const caller = startNode([bin, 'enqueue', 'greet', '{"name":"Ada"}', '--wait'], { cwd: dir, env })
    expect([await caller.ended, caller.output().split('\n').at(-1)]).toEqual([0, '{"text":"Hello, Ada!"}'])
    worker.process.kill('SIGTERM')
    expect(await worker.ended).toBe(0)
  }, 60_000)
})

describe('docs/guides/testing.md', () => {
  beforeEach(() => {
    for (const { file, code } of blocksOf('docs/guides/testing.md')) writeFileSync(join(dir, file), code)
    writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
    writeFileSync(join(dir, 'vitest.config.mjs'), 'export default {}') // not this repository's
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  })

  it('passes its own tests in vitest', async () => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const files = ['handler', 'enqueued', 'flow', 'faults', 'outage', 'shop.jest']
    const args = ['run', '--root', dir, '--globals', ...files.map((name) => `${name}.test.ts`)]
    const run = startNode([vitest, ...args], { cwd: dir, env: { NO_COLOR: '1', FORCE_COLOR: '0' } })
    expect([await run.ended, run.output()]).toEqual([0, expect.stringMatching(/Tests +8 passed/)])
  }, 60_000)

  it('passes its own test in node:test, and the process ends by itself', async () => {
    const run = startNode(['--import', 'jiti/register', '--test', 'shop.node.test.ts'], { cwd: dir })
    expect([await run.ended, run.output()]).toEqual([0, expect.stringMatching(/pass 1$/m)])
  }, 60_000)
})
