// Gives an order to a child process, and waits for its answer and its end.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Measured } from './cases/case.js'
import type { Answer, Order } from './order.js'

/** A measurement that takes longer hangs: a job was lost. */
const LIMIT = 20 * 60_000
const RUN = fileURLToPath(new URL('run.ts', import.meta.url))
const children = new Set<ChildProcess>()
let stopping = false

/**
 * @param env of the child, besides that of this process
 * @returns what was measured; nothing for orders that measure nothing
 * @throws the error of the child, or that it did not end
 */
export function carryOut(order: Order, env: Readonly<Record<string, string>> = {}): Promise<Measured | undefined> {
  return new Promise((resolve, reject) => {
    if (stopping) return // the process is about to end, and nobody waits any more
    // What a subject prints goes to standard error: standard output is for figures.
    const child = fork(RUN, [JSON.stringify(order)], {
      stdio: ['ignore', 2, 2, 'ipc'],
      env: { ...process.env, ...env },
    })
    children.add(child)
    let answer: Answer | undefined
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT)
    child.once('message', (message) => (answer = message as Answer))
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(limit)
      children.delete(child)
      if (stopping) return
      if (answer === undefined) reject(new Error(`The measuring process ended with ${signal ?? code} and no answer.`))
      else if ('error' in answer) reject(new Error(answer.error))
      else if (code !== 0)
        reject(new Error(`The measuring process answered, and did not end by itself (${signal ?? code}).`))
      else resolve(answer.measured)
    })
  })
}

/** For the end of the whole bench: no order is answered any more. Resolves when no child is left. */
export async function killChildren(): Promise<void> {
  stopping = true
  const ends = [...children].map((child) => once(child, 'exit'))
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(ends)
}
