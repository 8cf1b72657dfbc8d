// What may stand on the command line, and what is said to the rest.
import { parseArgs } from 'node:util'
import type { Amount, Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios/index.js'

export interface Arguments {
  readonly minutes: number
  readonly seed: string
  readonly scenarios: readonly Scenario[]
  /** For scenarios that count. */
  readonly amount: Partial<Amount>
  readonly json: boolean
}

/** What runs in CI: short, and still every scenario. */
const SHORT = 2
/** `--full`: what the promises on RabbitMQ were made for. */
const FULL: Amount = { jobs: 20_000, kills: 40, stops: 5, closes: 10 }
const AMOUNTS = ['jobs', 'kills', 'stops', 'closes'] as const

/** @throws Error that says what is wrong and what may be written. */
export function readArguments(args: readonly string[]): Arguments {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: String(SHORT) },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        scenario: { type: 'string', default: SCENARIOS.map(({ name }) => name).join(',') },
        json: { type: 'boolean', default: false },
        full: { type: 'boolean', default: false },
        jobs: { type: 'string' },
        kills: { type: 'string' },
        stops: { type: 'string' },
        closes: { type: 'string' },
      },
    })
    const minutes = Number(values.minutes)
    if (!(minutes > 0 && minutes <= 24 * 60))
      throw new Error(`--minutes ${values.minutes} is no number of minutes up to a day.`)
    const amount: Record<string, number> = values.full ? { ...FULL } : {}
    for (const one of AMOUNTS) if (values[one] !== undefined) amount[one] = counted(one, values[one])
    return { minutes, seed: values.seed, scenarios: values.scenario.split(',').map(named), amount, json: values.json }
  } catch (error) {
    const scenarios = SCENARIOS.map(({ name, does }) => `  ${name.padEnd(17)} ${does}`)
    throw new Error(
      `${error instanceof Error ? error.message : String(error)}
Write: npm run test:chaos -- [--minutes ${SHORT}] [--seed N] [--scenario a,b] [--json]
       and for scenarios on RabbitMQ [--full] [--jobs N] [--kills N] [--stops N] [--closes N]
The scenarios are:
${scenarios.join('\n')}`,
      { cause: error },
    )
  }
}

function named(name: string): Scenario {
  const scenario = SCENARIOS.find((one) => one.name === name)
  if (!scenario) throw new Error(`There is no scenario "${name}".`)
  return scenario
}

function counted(name: string, text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new Error(`--${name} ${text} is no whole number.`)
  return Number(text)
}
