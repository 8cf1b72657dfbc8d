// Programs of the millrace command, each in a process of its own, whose lines are shown under their name.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { showLine } from './print.js'

export interface Program {
  readonly pid: number | undefined
  /** The first line that fits, also one that was printed before. @throws Error when the program ends without it */
  line(pattern: RegExp): Promise<RegExpExecArray>
  /** The next line that fits. */
  next(pattern: RegExp): Promise<RegExpExecArray>
  readonly ended: Promise<number | null>
  /** Tell it to stop, and wait. */
  stop(): Promise<void>
  /** End it at once, as a power cut would. */
  kill(): void
}

const BIN = join(dirname(createRequire(import.meta.url).resolve('millrace/package.json')), 'bin/millrace.js')

export function startMillrace(name: string, args: readonly string[], env: Readonly<Record<string, string>>): Program {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const heard = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      showLine(name, line)
      for (const look of heard) look()
    })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const lineFrom = (from: number, pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = lines
          .slice(from)
          .map((line) => pattern.exec(line))
          .find((match) => match !== null)
        if (!found) return
        heard.delete(look)
        resolve(found)
      }
      heard.add(look)
      look()
      void ended.then((code) => reject(new Error(`${name} ended with ${code} before it printed ${pattern}.`)))
    })
  return {
    pid: child.pid,
    ended,
    line: (pattern) => lineFrom(0, pattern),
    next: (pattern) => lineFrom(lines.length, pattern),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await ended
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
