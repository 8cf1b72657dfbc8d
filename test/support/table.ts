// Keeps what each conformance case came to, and makes the table when every driver of this run has been through.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { conformanceCases, conformanceTable, type CaseResult } from '../../src/testing/index.js'

const FOLDER = join(import.meta.dirname, '../../.cache/conformance')
/** The columns of a complete table. */
const DRIVERS = ['memory', 'memory+sqlite', 'rabbitmq', 'rabbitmq+sqlite', 'sqlite']

/** Collects the results of one driver; `save` is called once its cases have run. */
export function resultsOf(driver: string): { add(result: CaseResult): void; save(): void } {
  const results: CaseResult[] = []
  return {
    add: (result) => void results.push(result),
    save() {
      mkdirSync(FOLDER, { recursive: true })
      writeFileSync(join(FOLDER, `${driver}.json`), JSON.stringify(results))
    },
  }
}

export function forgetResults(): void {
  rmSync(FOLDER, { recursive: true, force: true })
}

/** The table of this run, if any driver ran; complete when every case of every driver did, and none failed. */
export function tableOfRun(): { readonly table: string; readonly complete: boolean } | undefined {
  let files: string[]
  try {
    files = readdirSync(FOLDER)
  } catch {
    return undefined
  }
  const results = files.flatMap((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as CaseResult[])
  const passed = results.filter((one) => one.status !== 'failed')
  return { table: conformanceTable(results), complete: passed.length === DRIVERS.length * conformanceCases.length }
}
