// millrace doctor: what is stuck and why, the worst first, and what to do about each.
import type { Command } from 'commander'
import type { Finding } from '../../driver/driver.js'
import { Failure, oneLine } from '../fail.js'
import type { GlobalFlags } from '../flags.js'
import { count, paint, print, printJson, remark, wrap, type Style } from '../print.js'
import { dial } from '../target.js'

interface Flags extends GlobalFlags {
  readonly deep?: boolean
  readonly strict?: boolean
}

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('Find what is stuck or in danger, and say what to do. Changes nothing.')
    .option('--deep', 'also read every page of the database, which may take minutes')
    .option('--strict', 'exit with 1 for warnings, too')
    .addHelpText(
      'after',
      `
Exit codes: 0 no error was found, 1 one was (with --strict: or a warning), 2 wrong use.
With --json: one finding on a line: { code, level, message, advice, facts }.

Examples:
  $ millrace doctor --url sqlite:jobs.db
  $ millrace doctor --json | jq 'select(.level != "ok")'`,
    )
    .action((_own: Flags, command: Command) => doctor(command.optsWithGlobals<Flags>()))
}

async function doctor(flags: Flags): Promise<void> {
  const findings = await examine(flags)
  if (flags.json) for (const finding of findings) printJson(finding)
  else show(findings)
  const errors = findings.filter(({ level }) => level === 'error').length
  const warnings = findings.filter(({ level }) => level === 'warning').length
  if (errors > 0 || (flags.strict && warnings > 0)) process.exitCode = 1
  if (flags.json) return
  if (errors + warnings === 0) remark('All is well.')
  else remark(`${count(errors, 'error')}, ${count(warnings, 'warning')}. More: docs/operating.md`)
}

/** A database that does not open is a finding like any other, so that who reads the lines has it there. */
async function examine(flags: Flags): Promise<readonly Finding[]> {
  const client = await dial(flags, { create: false }).catch(async (error: unknown) => {
    if (!(error instanceof Failure)) throw error
    const { unanswered } = await import('../../client/doctor.js')
    return unanswered(error)
  })
  if ('level' in client) return [client]
  try {
    return await client.doctor({ deep: flags.deep === true })
  } finally {
    await client.close()
  }
}

const STYLES: Readonly<Record<Finding['level'], Style>> = { error: 'red', warning: 'yellow', ok: 'green' }
const INDENT = 'warning'.length + 2
const MARGIN = ' '.repeat(INDENT)

function show(findings: readonly Finding[]): void {
  const widest = Math.max(...findings.map(({ code }) => code.length))
  for (const { code, level, message, advice } of findings) {
    const head = paint(STYLES[level], level.padEnd(INDENT))
    if (level === 'ok') {
      const lines = hanging(`${code.padEnd(widest)}  `, message, INDENT)
      for (const [i, line] of lines.entries()) print(`${i === 0 ? head : MARGIN}${paint('dim', line)}`)
      continue
    }
    print(`${head}${paint('bold', code)}`)
    for (const line of hanging('', message, INDENT)) print(`${MARGIN}${line}`)
    for (const line of hanging('→ ', advice ?? '', INDENT)) print(`${MARGIN}${paint('cyan', line)}`)
  }
}

/** The text in lines that fit beside an indent, with `first` before the first and as much room before the others. */
function hanging(first: string, text: string, indent: number): readonly string[] {
  return wrap(oneLine(text), indent + first.length).map(
    (line, i) => `${i === 0 ? first : ' '.repeat(first.length)}${line}`,
  )
}
