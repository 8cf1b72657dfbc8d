// The bench: measures the cases one after the other, each in processes of its own, and prints their figures.
//   npm run bench -- --driver sqlite [--json | --markdown] [--quick] [--case a,b] [--runs N] [--jobs N]
import { HELP, readArguments, WrongUse, type Arguments } from './arguments.js'
import { fillerOf, type Case, type Measured } from './cases/case.js'
import { carryOut, killChildren } from './child.js'
import { DRIVERS } from './drivers.js'
import { BASELINE, figureOf, type Figure, type Run } from './figure.js'
import type { Order } from './order.js'
import { copyOnDisk, openPlace, type Place } from './place.js'
import { conditions, jsonLine, machineOf, table } from './report.js'
import type { Service } from './service.js'

const remark = (line: string) => process.stderr.write(`${line}\n`)

async function bench(o: Arguments): Promise<boolean> {
  const driver = DRIVERS[o.driver]!
  const service = await driver.start?.()
  const place = openPlace()
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      void killChildren()
        .then(() => service?.close())
        .finally(() => process.exit(code))
    })
  const machine = { ...machineOf({ driver: o.driver, filesystem: place.filesystem }), ...service?.versions }
  const measure = createMeasure(o, place, service)
  const figures: Figure[] = []
  let failed = false
  for (const one of o.cases) {
    try {
      const runs: Run[] = []
      for (let run = 0; run < o.runs; run++) runs.push(await measure(one, run))
      const figure = figureOf(one, runs, o.quick ? [] : driver.cases[one.name]!) // with so few jobs a target says nothing
      figures.push(figure)
      if (o.form === 'json') console.log(jsonLine(figure, o, machine))
    } catch (error) {
      failed = true
      remark(`error: ${one.name}: ${(error as Error).message}`)
    }
  }
  place.remove()
  if (o.form !== 'json') console.log(`${table(figures, o.form)}\n\n${conditions(o, machine)}`)
  return !failed
}

/** Measures a case once with Millrace and with each peer that has it: in turn, another first in each run. */
function createMeasure(o: Arguments, place: Place, service?: Service): (one: Case, run: number) => Promise<Run> {
  const order = { driver: o.driver, subject: 'millrace', durability: o.durability, quick: o.quick }
  const inService = <T>(use: (env?: Readonly<Record<string, string>>) => Promise<T>): Promise<T> =>
    service ? service.withPlace(use) : use()
  const filler = createFiller(o, place, (what) => carryOut({ ...order, case: '', ...what }))

  return async (one, run) => {
    const jobs = one.jobs(o.jobs)
    const copyOf = one.beside && (await filler(one.beside))
    const on = (subject: string, copy?: string) => (): Promise<Measured> =>
      place.withFolder(async (folder) => {
        const toDo = { ...order, do: 'measure', case: one.name, subject, folder, jobs } as const
        const measured = await inService((env) => carryOut(toDo, env))
        return measured!
      }, copy)
    const subjects: [string, () => Promise<Measured>][] = [['millrace', on('millrace', copyOf)]]
    if (one.beside) subjects.push([BASELINE, on('millrace')])
    for (const { name, cases } of DRIVERS[o.driver]!.peers)
      if (cases.includes(one.name)) subjects.push([name, on(name)])
    const measured: Record<string, Measured> = {}
    for (let i = 0; i < subjects.length; i++) {
      const [name, measureIt] = subjects[(i + run) % subjects.length]!
      remark(`${one.name}, run ${run + 1} of ${o.runs}: ${name}`)
      try {
        measured[name] = await measureIt()
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
      }
    }
    return measured
  }
}

/** Folders with a database full of other jobs, each made at its first use. */
function createFiller(
  o: Arguments,
  place: Place,
  give: (order: Pick<Order, 'do' | 'folder' | 'jobs'>) => Promise<unknown>,
): (state: 'waiting' | 'finished') => Promise<string> {
  const jobs = fillerOf(o.jobs)
  const made: { waiting?: Promise<string>; finished?: Promise<string> } = {}
  async function makeWaiting(): Promise<string> {
    remark(`Making a database with ${jobs} waiting jobs`)
    const folder = place.keep('waiting')
    await give({ do: 'fill', folder, jobs })
    return folder
  }
  async function makeFinished(): Promise<string> {
    const waiting = await (made.waiting ??= makeWaiting())
    remark(`Making a database with ${jobs} finished jobs`)
    const folder = place.keep('finished')
    copyOnDisk(waiting, folder)
    await give({ do: 'finish', folder, jobs })
    return folder
  }
  return (state) => (made[state] ??= state === 'waiting' ? makeWaiting() : makeFinished())
}

try {
  const options = readArguments(process.argv.slice(2))
  if (options === undefined) console.log(HELP)
  else if (!(await bench(options))) process.exitCode = 1
} catch (error) {
  if (!(error instanceof WrongUse)) throw error
  remark(`error: ${error.message}`)
  process.exitCode = 2
}
