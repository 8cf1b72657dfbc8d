// What went wrong, as one line and an exit code: 0 done, 1 failed, 2 wrong use.
import { stripVTControlCharacters } from 'node:util'
import { hasCode, messageOf, MillraceError } from '../core/errors.js'

/** The command line is wrong: nothing was done. Exit code 2. */
export class UsageError extends Error {}

/** It could not be done, whatever the code of the cause says. Exit code 1. */
export class Failure extends Error {}

/** Errors of the library that only a wrong command line can cause. What goes wrong later is made a `Failure`. */
const WRONG_USE = ['ERR_CONFIGURATION', 'ERR_VALIDATION', 'ERR_PAYLOAD_TOO_LARGE', 'ERR_UNSUPPORTED']

export function exitCodeOf(error: unknown): 0 | 1 | 2 {
  if (isCommanders(error)) return error.exitCode === 0 ? 0 : 2
  if (error instanceof UsageError) return 2
  return WRONG_USE.some((code) => hasCode(error, code)) ? 2 : 1
}

/** Show the error on standard error: one line, and with `verbose` the stacks of it and its causes. */
export function report(error: unknown, verbose: boolean): void {
  if (isCommanders(error)) return // commander has shown its own
  process.stderr.write(`error: ${oneLine(textOf(error))}\n`)
  if (verbose) process.stderr.write(`${stacksOf(error)}\n`)
}

/** Name and message of anything thrown; the name only where it tells something. */
export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return `A value that is no Error was thrown: ${messageOf(error)}`
  const ours = [UsageError, Failure, MillraceError].some((kind) => error instanceof kind)
  return !ours && error.name !== 'Error' ? `${error.name}: ${error.message}` : error.message || error.name
}

/** Text on one line, without what could steer a terminal. */
export function oneLine(text: string): string {
  return harmless(text).replace(/\s+/g, ' ').trim()
}

/** The same, with the spaces around it kept. */
export function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}

/** End the process now, whatever is under way. What was written to standard error by then is printed. */
export function leave(code: number): never {
  process.exit(code)
}

let heeding: ((thrown: unknown) => void) | undefined

/** What becomes of errors that nothing caught, instead of Node's stack. The last caller decides. */
export function onUncaught(handler: (thrown: unknown) => void): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    if (heeding) process.off(event, heeding)
    process.on(event, handler)
  }
  heeding = handler
}

function stacksOf(error: unknown): string {
  if (!(error instanceof Error)) return textOf(error)
  const own = error.stack ?? String(error)
  return error.cause === undefined ? own : `${own}\nCaused by: ${stacksOf(error.cause)}`
}

/** Help, version and wrong arguments end as errors of commander that were shown already. */
function isCommanders(error: unknown): error is { exitCode: number } {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && code.startsWith('commander.')
}
