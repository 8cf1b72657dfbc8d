// Where log lines go: any logger of pino's shape, or lines on standard error.
import { shown } from '../core/errors.js'

/** A logger; pino's fits. Payloads are never logged. */
export interface Logger {
  debug(o: object | string, m?: string): void
  info(o: object | string, m?: string): void
  warn(o: object | string, m?: string): void
  error(o: object | string, m?: string): void
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent']

/** Lines on standard error, from `level` on: `12:00:00.000 warn  text key=value`. */
export function createLogger(level: LogLevel = 'warn', write: (line: string) => void = toStderr): Logger {
  const from = LEVELS.indexOf(level)
  const at = (own: 'debug' | 'info' | 'warn' | 'error') => (o: object | string, m?: string) => {
    if (LEVELS.indexOf(own) < from) return
    write(`${new Date().toISOString().slice(11, 23)} ${own.padEnd(5)} ${textOf(o, m)}\n`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** What a logger was called with, as text: the message, then `key=value` for each field. */
export function textOf(o: object | string, m?: string): string {
  if (typeof o === 'string') return o
  const fields = Object.entries(o).map(([key, value]) => ` ${key}=${show(value)}`)
  return `${m ?? ''}${fields.join('')}`
}

/** The same logger with fields that every line carries. */
export function withFields(log: Logger, fields: Readonly<Record<string, unknown>>): Logger {
  const at = (own: 'debug' | 'info' | 'warn' | 'error') => (o: object | string, m?: string) =>
    typeof o === 'string' ? log[own](fields, o) : log[own]({ ...fields, ...o }, m)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** The same logger, except that a line it fails to write is lost and nothing else. */
export function unbreakable(log: Logger): Logger {
  const at = (own: 'debug' | 'info' | 'warn' | 'error') => (o: object | string, m?: string) => {
    try {
      log[own](o as object, m)
    } catch {
      // a job must not fail for its log
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** A logger that writes to the first, and tells the second about each line it was called with. */
export function tee(log: Logger, tell: (level: keyof Logger, o: object | string, m?: string) => void): Logger {
  const at = (own: keyof Logger) => (o: object | string, m?: string) => {
    log[own](o as object, m)
    tell(own, o, m)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function toStderr(line: string): void {
  process.stderr.write(line)
}

function show(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message)
  const text = typeof value === 'string' ? value : shown(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}
