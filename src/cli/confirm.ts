// Asking before something is done that cannot be taken back.
import { createInterface } from 'node:readline/promises'
import { Failure, UsageError } from './fail.js'

/**
 * Refuse early where nobody can be asked: before a database is opened or a job is counted.
 * @param what completes "Refusing to …", for example `delete jobs`.
 * @throws UsageError without --yes when standard input is no terminal
 */
export function mustBeAskable(what: string, yes: boolean | undefined): void {
  if (yes === true || process.stdin.isTTY) return
  throw new UsageError(`Refusing to ${what} without being asked, and standard input is no terminal. Add --yes.`)
}

/** @throws Failure unless the answer is yes. */
export async function confirm(question: string, yes: boolean | undefined): Promise<void> {
  if (yes === true) return
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  // The end of the input (Ctrl-D) and Ctrl-C are answers too.
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('\n')))
  const answer = await Promise.race([lines.question(`${question} [y/N] `).catch(() => ''), closed])
  lines.close()
  if (answer === '\n') process.stderr.write('\n')
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('Nothing was done.')
}
