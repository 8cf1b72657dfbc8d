// Around the whole run: forgets older conformance results, and afterwards prints the table and keeps it in docs/drivers.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import { writeThreadSource } from '../../scripts/thread.mjs'
import { forgetResults, tableOfRun } from './table.js'

const DOCS = new URL('../../docs/drivers.md', import.meta.url)
const BEGIN = '<!-- conformance: written by npm test -->'

export function setup(): void {
  writeThreadSource()
  forgetResults()
}

export async function teardown(): Promise<void> {
  const run = tableOfRun()
  if (run === undefined) return
  process.stdout.write(`\nConformance\n\n${run.table}\n`)
  // A run of some tests only, or one that failed, says nothing about the drivers as they are.
  if (!run.complete) return
  const page = readFileSync(DOCS, 'utf8')
  const kept = page.slice(0, page.indexOf(BEGIN) + BEGIN.length)
  const style = (await resolveConfig(DOCS.pathname)) ?? {}
  writeFileSync(DOCS, await format(`${kept}\n\n${run.table}`, { ...style, parser: 'markdown' }))
}
