// The README's main job, as a newcomer runs it: in processes of its own, over real files, compared with find and sha256sum.
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type JobInfo } from '../../src/index.js'
import { startNode } from '../support/process.js'
import { stoppedByModes } from '../support/unprivileged.js'

const ROOT = join(import.meta.dirname, '../..')
const PROGRAM = ['--import', 'jiti/register', 'examples/inventory/main.ts']
const STOPPED = stoppedByModes(PROGRAM)
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex')

let base: string
let folder: string
let db: string

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'millrace-inventory-'))
  folder = join(base, 'files')
  db = join(base, 'inventory.db')
  mkdirSync(folder)
})

afterEach(() => {
  rmSync(base, { recursive: true })
})

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(args: readonly string[], command: readonly string[] = [process.execPath, ...PROGRAM]): Promise<Ended> {
  const [program, ...first] = command
  return new Promise((resolve) => {
    const child = execFile(program!, [...first, ...args], { cwd: ROOT }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    )
  })
}

/** The line that `--json` prints, and that it is all there is on standard output. */
async function totals(command?: readonly string[]): Promise<Record<string, number>> {
  const { code, stdout, stderr } = await run([folder, '--db', db, '--json'], command)
  expect(stderr).toContain('Inventory of ')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^\{"files":\d+,"bytes":\d+,"dead":\d+,"seconds":[\d.]+\}\n$/)
  return JSON.parse(stdout) as Record<string, number>
}

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
  return path
}

const output = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
const found = () => output('find', folder, '-type', 'f', '-print0').split('\0').filter(Boolean)

const bytesFound = () =>
  output('find', folder, '-type', 'f', '-printf', '%s\n')
    .split('\n')
    .reduce((sum, line) => sum + Number(line), 0)

/** The path and checksum of every file that find finds. */
const sha256sums = () =>
  new Map(
    output('sha256sum', '-z', ...found())
      .split('\0')
      .filter(Boolean)
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  )

async function allJobs(): Promise<JobInfo[]> {
  const client = await connect(`sqlite:${db}`)
  try {
    const all: JobInfo[] = []
    let cursor: string | undefined
    do {
      const page = await client.jobs.list({ limit: 1000, ...(cursor !== undefined && { cursor }) })
      all.push(...page.jobs)
      cursor = page.cursor
    } while (cursor !== undefined)
    return all
  } finally {
    await client.close()
  }
}

const pathOf = (job: JobInfo) => (job.input as { path: string }).path
const factsOf = (job: JobInfo) => job.output as { bytes: number; sha256: string; type: string }

describe('inventory', () => {
  it('agrees with find, stat and sha256sum, and finds nothing new the second time', async () => {
    const types = new Map([
      [write('plain.txt', 'hello\n'), 'text/plain'],
      [write('empty', ''), 'inode/x-empty'],
      [write('picture of nothing.txt', PNG), 'image/png'],
      [write('noise.bin', Buffer.from([0xff, 0x00, 0xfe, 0x01, 0x80])), 'application/octet-stream'],
      [write('deep/er/est/größe und 名前 🌊.md', 'ä'.repeat(3000)), 'text/plain'],
      // The sample ends inside a character, which is no fault of the file; a file that ends so is no text.
      [write('cut.txt', 'a' + 'ä'.repeat(3000)), 'text/plain'],
      [write('broken.txt', Buffer.from('ä').subarray(0, 1)), 'application/octet-stream'],
      [write(`quotes ' " \` $HOME \\ 100%?.txt`, 'x'), 'text/plain'],
      [write('line\nbreak', 'y'), 'text/plain'],
      [write('large', Buffer.alloc(3_000_000, 'z')), 'text/plain'],
    ])
    symlinkSync(join(folder, 'plain.txt'), join(folder, 'link'))
    symlinkSync(folder, join(folder, 'loop'))
    symlinkSync('/nowhere', join(folder, 'broken link'))

    const first = await totals()
    const bytes = bytesFound()
    expect(found()).toHaveLength(types.size)
    expect(first).toMatchObject({ files: types.size, bytes, dead: 0 })

    const jobs = await allJobs()
    expect(jobs.map((job) => job.state)).toEqual(Array.from(jobs, () => 'completed'))
    expect(new Map(jobs.map((job) => [pathOf(job), factsOf(job).sha256]))).toEqual(sha256sums())
    expect(new Map(jobs.map((job) => [pathOf(job), factsOf(job).type]))).toEqual(types)

    expect(await totals()).toMatchObject({ files: types.size, bytes, dead: 0 })
    const { code, stdout } = await run([folder, '--db', db])
    expect(code).toBe(0)
    expect(stdout).toContain(`(0 new, ${types.size} known before)`)
    expect(stdout).toContain(db)
    expect(stdout).toContain(`npx millrace jobs list --url sqlite:${db}`)
    expect(await allJobs()).toEqual(jobs)
  })

  it('takes a changed file for a new one', async () => {
    write('a', 'one')
    write('b', 'two')
    await totals()
    write('b', 'three')
    const { stdout } = await run([folder, '--db', db])
    expect(stdout).toContain('2 (1 new, 1 known before)')
    expect(stdout).toContain('(8 bytes)')
  })

  it('stops in order at Ctrl-C, and the next run does only what was left', async () => {
    const count = 3000
    for (let i = 0; i < count; i++) write(`${i % 60}/file ${i}`, `file ${i}`)

    const first = startNode([...PROGRAM, folder, '--db', db, '--json'])
    await first.line(/^progress: [1-9]/)
    first.process.kill('SIGINT')
    expect(await first.ended).toBe(130)
    expect(first.output()).toMatch(/^Stopped: .* To go on, run the same command again\.$/m)
    expect(first.output()).not.toContain('{')

    const before = await allJobs()
    const done = before.filter((job) => job.state === 'completed')
    expect(done.length).toBeGreaterThan(0)
    expect(done.length).toBeLessThan(count)
    // Nothing stays in the hands of the worker that is gone, and what it gave back cost no attempt.
    expect(before.filter((job) => job.state === 'ready' && job.attempt === 0)).toHaveLength(before.length - done.length)

    expect(await totals()).toMatchObject({ files: count, bytes: bytesFound(), dead: 0 })
    const after = await allJobs()
    expect(after.filter((job) => job.state === 'completed' && job.attempt === 1)).toHaveLength(count)
    expect(new Set(after.map(pathOf))).toEqual(new Set(found()))
    const redone = new Map(after.map((job) => [job.id, job]))
    for (const job of done) expect(redone.get(job.id)).toEqual(job)
  })

  it.skipIf(STOPPED === undefined)(
    'ends dead what cannot be read, with the reason, and tries it again the next time (as root: needs setpriv)',
    async () => {
      write('open.txt', 'open')
      const closed = write('closed.txt', 'closed')
      write('vault/inside', 'unseen')
      chmodSync(closed, 0)
      chmodSync(join(folder, 'vault'), 0)
      try {
        const first = await run([folder, '--db', db], STOPPED)
        expect(first.code).toBe(0)
        expect(first.stderr).toMatch(/^Left out, because it cannot be read: EACCES.*vault'$/m)
        expect(first.stdout).toMatch(/^ {2}files +2 /m)
        expect(first.stdout).toMatch(/^ {2}dead +1$/m)
        expect(first.stdout).toContain(`${closed}\n    EACCES: permission denied, open '${closed}'`)
        const job = (await allJobs()).find((one) => one.state === 'dead')
        expect(job).toMatchObject({ reason: 'failed', attempt: 3, input: { path: closed } })
        expect(job!.errors.map((error) => error.message)).toEqual(
          Array(3).fill(`EACCES: permission denied, open '${closed}'`),
        )

        chmodSync(closed, 0o644)
        expect(await totals(STOPPED)).toMatchObject({ files: 2, bytes: 10, dead: 0 })
      } finally {
        chmodSync(join(folder, 'vault'), 0o755)
      }
    },
  )

  it('leaves its own database out, and says so', async () => {
    write('a', 'one')
    db = join(folder, 'inventory.db')
    const { stderr, stdout } = await run([folder, '--db', db, '--json'])
    expect(stderr).toMatch(/^Left out, because this run writes them: .*inventory\.db and its -wal and -shm files\.$/m)
    expect(JSON.parse(stdout)).toMatchObject({ files: 1, bytes: 3, dead: 0 })
    expect(await totals()).toMatchObject({ files: 1, bytes: 3, dead: 0 })
  })

  it('answers wrong use with one line and exit code 2', async () => {
    const file = write('a', 'one')
    const cases: [string[], RegExp][] = [
      [[join(base, 'nowhere')], /nowhere does not exist\./],
      [[file], /is a file\. Give a folder\./],
      [['--frob'], /Unknown option '--frob'/],
      [[folder, folder], /2 folders are given/],
      [[folder, '--db', base], /is a folder\. Give the path of a file/],
      [[folder, '--db', join(base, 'nowhere', 'x.db')], /does not exist/],
    ]
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await run(args)
      expect(stdout).toBe('')
      const complaints = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Inventory of '))
      expect(complaints).toEqual([expect.stringMatching(message)])
      expect(code).toBe(2)
    }
  })
})
