// Keeps what each conformance case came to, and writes the table when every driver of this run has been through.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { conformanceTable, type CaseResult } from '../../src/testing/index.js'

const FOLDER = join(import.meta.dirname, '../../.cache/conformance')

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

/** The table of all drivers of this run, if any ran. */
export function tableOfRun(): string | undefined {
  try {
    const results = readdirSync(FOLDER).flatMap(
      (file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as CaseResult[],
    )
    return results.length === 0 ? undefined : conformanceTable(results)
  } catch {
    return undefined
  }
}
