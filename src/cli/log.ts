// Where a worker's log lines go: readable lines, or one JSON object each, on standard error.
import { createLogger, type Logger, type LogLevel } from '../observe/log.js'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

export function createCliLogger(o: { level: Exclude<LogLevel, 'silent'>; json: boolean }): Logger {
  return o.json ? jsonLogger(o.level) : createLogger(o.level)
}

function jsonLogger(level: (typeof LEVELS)[number]): Logger {
  const at = (own: (typeof LEVELS)[number]) => (o: object | string, m?: string) => {
    if (LEVELS.indexOf(own) < LEVELS.indexOf(level)) return
    const [fields, message] = typeof o === 'string' ? [{}, o] : [o, m ?? '']
    const line = { time: new Date().toISOString(), level: own, message, ...readable(fields) }
    process.stderr.write(`${JSON.stringify(line)}\n`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** An Error has no enumerable text, so JSON would show `{}`. */
function readable(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? value.message : (value as unknown)]),
  )
}
