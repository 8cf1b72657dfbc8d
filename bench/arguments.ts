// The options of a bench, each checked.
import { parseArgs } from 'node:util'
import { CASES } from './cases/index.js'
import type { Case } from './cases/case.js'
import { DRIVERS } from './drivers.js'

/** Wrong options: nothing was measured. */
export class WrongUse extends Error {}

export interface Arguments {
  readonly driver: string
  readonly form: 'table' | 'json' | 'markdown'
  readonly quick: boolean
  readonly cases: readonly Case[]
  readonly runs: number
  readonly jobs: number
  readonly durability: string
}

export const HELP = `npm run bench -- [options]

  --driver NAME      ${Object.keys(DRIVERS).join(', ')} (default: sqlite)
  --json             one JSON line per case
  --markdown         the table of docs/performance.md
  --quick            small sizes, in well under a minute: proves that it runs, and measures nothing of worth
  --case A,B         only these, of those that the driver has: ${CASES.map(({ name }) => name).join(', ')}
  --runs N           measure N times, Millrace and each peer in turn, and print the median (default: 1)
  --jobs N           the size that each case's own follows from (default: 20000)
  --durability MODE  of Millrace; the default is the driver's`

/** @throws WrongUse that names the option and its value; answers undefined when help is wanted */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const values = parse(args)
  if (values.help) return undefined
  const driver = DRIVERS[values.driver]
  if (driver === undefined)
    throw new WrongUse(`--driver: there is no "${values.driver}". Possible: ${Object.keys(DRIVERS).join(', ')}.`)
  const durability = values.durability ?? driver.durabilities[0]!
  if (!driver.durabilities.includes(durability))
    throw new WrongUse(
      `--durability: ${values.driver} has no "${durability}". Possible: ${driver.durabilities.join(', ')}.`,
    )
  if (values.json && values.markdown) throw new WrongUse('--json and --markdown exclude each other.')
  return {
    driver: values.driver,
    form: values.json ? 'json' : values.markdown ? 'markdown' : 'table',
    quick: values.quick,
    cases: casesOf(values.driver, values.case),
    runs: wholeNumber('--runs', values.runs ?? '1', 1),
    jobs: wholeNumber('--jobs', values.jobs ?? (values.quick ? '400' : '20000'), 100),
    durability,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        driver: { type: 'string', default: 'sqlite' },
        json: { type: 'boolean', default: false },
        markdown: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        case: { type: 'string', multiple: true, default: [] },
        runs: { type: 'string' },
        jobs: { type: 'string' },
        durability: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    throw new WrongUse((error as Error).message, { cause: error })
  }
}

function casesOf(driver: string, lists: readonly string[]): readonly Case[] {
  const possible = CASES.filter(({ name }) => name in DRIVERS[driver]!.cases)
  const names = lists.flatMap((list) => list.split(','))
  const stray = names.find((wanted) => !possible.some(({ name }) => name === wanted))
  if (stray !== undefined) {
    const list = possible.map(({ name }) => name).join(', ')
    throw new WrongUse(`--case: ${driver} has no "${stray}". Possible: ${list}.`)
  }
  return names.length === 0 ? possible : possible.filter(({ name }) => names.includes(name))
}

function wholeNumber(option: string, text: string, least: number): number {
  const n = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (n >= least && n <= 1_000_000) return n
  throw new WrongUse(`${option}: "${text}" is no whole number from ${least} to 1000000.`)
}
