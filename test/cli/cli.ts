// Runs the real `millrace` command in a folder of its own, and waits for its lines and its end.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { dbOf, defaultEngine, type Db } from '../../src/drivers/sqlite/engine.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const BIN = join(root, 'bin/millrace.js')
export const fixture = (name: string) => join(root, 'test/cli/fixtures', name)

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly end: Promise<Outcome>
  /** Resolves once the pattern is in what was printed; rejects when the command ends before. */
  until(pattern: RegExp): Promise<void>
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** Run it in a terminal of 80 columns, whose output comes as one. Needs `hasTerminals`. */
  readonly terminal?: boolean
}

const SCRIPT = '/usr/bin/script'
/** A terminal is made by script(1) of util-linux. */
export const hasTerminals =
  spawnSync(SCRIPT, ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false

/** A folder with the packages of this repository in reach, and commands that run in it. */
export interface Place extends AsyncDisposable {
  readonly dir: string
  write(name: string, text: string): string
  start(args: readonly string[], o?: RunOptions): Running
  run(args: readonly string[], o?: RunOptions): Promise<Outcome>
}

export function openPlace(): Place {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-cli-')))
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
  const running = new Set<Running>()

  function start(args: readonly string[], o: RunOptions = {}): Running {
    const {
      MILLRACE_URL: _url,
      MILLRACE_STORE: _store,
      MILLRACE_NAMESPACE: _name,
      FORCE_COLOR: _color,
      CI: _ci,
      ...env
    } = process.env
    const command = [process.execPath, BIN, ...args]
    const quoted = command.map((part) => `'${part}'`).join(' ')
    const [program, ...rest] = o.terminal ? [SCRIPT, '-qec', `stty cols 80; ${quoted}`, '/dev/null'] : command
    const child = spawn(program!, rest, { cwd: dir, env: { ...env, TERM: 'xterm', ...o.env } })
    const one = follow(child)
    running.add(one)
    void one.end.then(() => running.delete(one))
    child.stdin.on('error', () => {}) // a command that refused did not read it
    if (!o.terminal) child.stdin.end(o.input ?? '')
    return one
  }

  return {
    dir,
    start,
    run: (args, o) => start(args, o).end,
    write(name, text) {
      const file = join(dir, name)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
      return file
    },
    async [Symbol.asyncDispose]() {
      const left = [...running]
      for (const one of left) one.child.kill('SIGKILL')
      await Promise.all(left.map((one) => one.end))
      rmSync(dir, { recursive: true, force: true })
      expect(left.length, 'commands still running at the end of the test').toBe(0)
    },
  }
}

function follow(child: ChildProcess): Running {
  let [stdout, stderr] = ['', '']
  const changed = new Set<() => void>()
  const heard = () => changed.forEach((tell) => tell())
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    heard()
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    heard()
  })
  const end = new Promise<Outcome>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })))
  return {
    child,
    end,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(stdout + stderr)) return
          changed.delete(look)
          resolve()
        }
        changed.add(look)
        look()
        void end.then(() => reject(new Error(`${pattern} was never printed:\n${stdout}${stderr}`)))
      }),
  }
}

/** The file through the library that Millrace uses on this Node, for looking in and for holding locks. */
export function openDatabase(file: string): Db {
  return dbOf(new (defaultEngine())(file))
}

/** Exit code, and one line of error without a stack: what every refusal must be. */
export function expectError({ code, stdout, stderr }: Outcome, expected: { code: 1 | 2; text: string | RegExp }): void {
  expect(stderr).toMatch(/^error: [^\n]+\n$/)
  expect(stderr).not.toMatch(/\n\s+at /)
  expect(stderr).toMatch(expected.text)
  expect(stdout).toBe('')
  expect(code).toBe(expected.code)
}
