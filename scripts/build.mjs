// Compiles src/ into dist/, from nothing, so that no file of an older build stays behind. Built beside it and then put in
// its place (at the same depth, for the source maps), so that a program that runs meanwhile never finds it half done.
import { spawnSync } from 'node:child_process'
import { renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { writeThreadSource } from './thread.mjs'

writeThreadSource()
const root = fileURLToPath(new URL('..', import.meta.url))
const [next, old] = [`${root}dist-next-${process.pid}`, `${root}dist-old-${process.pid}`]
const compiler = `${root}node_modules/typescript7/bin/tsc`
const { status } = spawnSync(process.execPath, [compiler, '-p', `${root}tsconfig.build.json`, '--outDir', next], {
  stdio: 'inherit',
})
if (status === 0) {
  try {
    renameSync(`${root}dist`, old)
  } catch {
    // the first build
  }
  renameSync(next, `${root}dist`)
}
for (const folder of [next, old]) rmSync(folder, { recursive: true, force: true })
process.exitCode = status ?? 1
