// Real processes for tests: started, awaited by what they print, and never left behind.
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterEach } from 'vitest'

export interface Child {
  readonly process: ChildProcess
  /** Everything it wrote to standard output and error so far. */
  output(): string
  /** Resolves when a line of its output matches. */
  line(pattern: RegExp): Promise<string>
  /** Resolves with its exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>
}

const running = new Set<ChildProcess>()
const killAll = () => {
  for (const child of running) child.kill('SIGKILL')
}
// Also after a test that failed or took too long.
afterEach(killAll)
process.on('exit', killAll)

/** Start Node on a file. Its working folder is the checkout unless told otherwise. */
export function startNode(args: readonly string[], o: { env?: NodeJS.ProcessEnv; cwd?: string } = {}): Child {
  return startProgram(process.execPath, args, o)
}

/** The same for another program. */
export function startProgram(
  program: string,
  args: readonly string[],
  o: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Child {
  const child = spawn(program, args, {
    cwd: o.cwd ?? `${import.meta.dirname}/../..`,
    env: { ...process.env, ...o.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const lines: string[] = []
  const waiting: { pattern: RegExp; resolve(line: string): void; reject(error: Error): void }[] = []
  const arrived = (line: string) => {
    lines.push(line)
    for (const one of waiting.filter(({ pattern }) => pattern.test(line))) one.resolve(line)
  }
  createInterface(child.stdout).on('line', arrived)
  createInterface(child.stderr).on('line', arrived)
  const ended = new Promise<number | string>((resolve) => {
    child.on('close', (code, signal) => {
      running.delete(child)
      resolve(code ?? signal ?? 'unknown')
      for (const one of waiting)
        one.reject(new Error(`It ended (${code ?? signal}) before ${one.pattern}:\n${lines.join('\n')}`))
    })
  })
  return {
    process: child,
    ended,
    output: () => lines.join('\n'),
    line: (pattern) => {
      const there = lines.find((line) => pattern.test(line))
      if (there !== undefined) return Promise.resolve(there)
      return new Promise((resolve, reject) => waiting.push({ pattern, resolve, reject }))
    },
  }
}
