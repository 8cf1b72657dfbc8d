// The processes of a chaos run: started from programs/, signalled, and never left behind, whatever ends the runner.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { within } from './wait.js'

export interface Proc {
  /** The name that its effects carry; never used twice in a run. */
  readonly name: string
  readonly pid: number
  /** Resolves when it says that it is ready; rejects when it ends before. */
  readonly ready: Promise<void>
  /** Whether it has said so. */
  readonly isReady: boolean
  /** Resolves with its exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly running: boolean
  /** What it printed to standard output so far. */
  output(): string
  signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void
}

const alive = new Set<ChildProcess>()

/** Kill what is still running; also frozen processes die by it. */
export function killAll(): void {
  for (const child of alive) child.kill('SIGKILL')
}

/**
 * Start a program with options, which it reads as JSON.
 * @param o.log file that what it prints to standard error is added to
 */
export function startProgram(o: {
  readonly program: string
  readonly name: string
  readonly options: object
  readonly log: string
  /** Arguments for Node itself. */
  readonly node?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}): Proc {
  const log = openSync(o.log, 'a')
  const child = spawn(process.execPath, [...(o.node ?? []), join(import.meta.dirname, 'programs', o.program)], {
    env: { ...process.env, ...o.env, CHAOS: JSON.stringify({ ...o.options, name: o.name }) },
    // Its standard input ends with this process, also by kill -9: then it ends itself.
    stdio: ['pipe', 'pipe', log],
  })
  closeSync(log)
  child.stdin?.on('error', () => {}) // it ended before us
  alive.add(child)
  let output = ''
  let running = true
  let isReady = false
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (!/^ready$/m.test(output)) return
      isReady = true
      resolve()
    })
    child.on('close', (code, signal) => reject(new Error(`${o.name} ended (${code ?? signal}) before it was ready.`)))
  })
  ready.catch(() => {}) // who kills it at once does not wait for it
  const ended = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      alive.delete(child)
      running = false
      resolve(code ?? signal ?? 'unknown')
    })
  })
  return {
    name: o.name,
    pid: child.pid ?? 0,
    ready,
    ended,
    get isReady() {
      return isReady
    },
    get running() {
      return running
    },
    output: () => output,
    signal: (signal) => void child.kill(signal),
  }
}

const EXIT_PATIENCE = 40_000

/** Tell them to stop; answers those that do not end with 0. */
export async function stopAll(procs: readonly Proc[]): Promise<string[]> {
  const running = procs.filter((proc) => proc.running)
  // Before it is ready, a signal ends it as any program.
  await Promise.allSettled(running.map((proc) => proc.ready))
  for (const proc of running) proc.signal('SIGTERM')
  const ends = await Promise.all(running.map((proc) => within(proc.ended, EXIT_PATIENCE)))
  return running.flatMap((proc, i) =>
    ends[i] === 0 ? [] : [`${proc.name} was told to stop and ended with ${ends[i] ?? 'nothing'}`],
  )
}
