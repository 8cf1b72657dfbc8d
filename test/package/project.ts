// A project of somebody else's, in a temporary folder, with the package installed as npm would publish it.
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>
  dependencies: Record<string, string>
}

/** All that can be imported of the package: 'millrace', 'millrace/contracts', … */
export const ENTRIES: readonly string[] = Object.keys(manifest.exports)
  .filter((key) => !key.endsWith('.json'))
  .map((key) => `millrace${key.slice(1)}`)

/** A program that prints a greeting for each `greet(url)`; its file brings the names of millrace. */
export const GREETER = `
  const task = defineTask('greet', { input: unchecked(), output: unchecked() })
  async function greet(url) {
    const client = await connect(url)
    await client.work({ handlers: [handle(task, ({ name }) => ({ text: 'Hello, ' + name + '!' }))] })
    const job = await client.enqueue(task, { name: 'Ada' })
    console.log((await job.result({ timeout: '10s' })).text)
    await client.close()
  }
`

export interface Project {
  readonly dir: string
  /** Answers the path. */
  write(file: string, content: string): string
  /** Write a program and run it with this Node. Answers what it printed; rejects unless it ends well. */
  node(file: string, program: string, o?: { flags?: readonly string[]; env?: NodeJS.ProcessEnv }): Promise<string>
  /** One more copy of the package, for the programs in `folder`. */
  install(folder: string): Promise<void>
  remove(): void
}

/** @param alsoImports packages of the repository that its programs import besides millrace and what millrace needs */
export async function createProject(alsoImports: readonly string[] = []): Promise<Project> {
  if (!existsSync(join(ROOT, 'dist/index.js'))) throw new Error('dist/ is not there. Run: npm run build')
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-package-')))

  const project: Project = {
    dir,
    write(file, content) {
      const path = join(dir, file)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
      return path
    },
    node(file, program, { flags = [], env = {} } = {}) {
      return run(process.execPath, [...flags, project.write(file, program)], dir, {
        ...process.env,
        FORCE_COLOR: '0',
        ...env,
      })
    },
    async install(folder) {
      const into = join(dir, folder, 'node_modules/millrace')
      mkdirSync(into, { recursive: true })
      await run('tar', ['-xzf', tarball, '-C', into, '--strip-components=1'], dir)
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }

  // The scripts of a pack would build dist/ anew under the tests that run beside this one.
  const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir], ROOT)
  const tarball = join(dir, (JSON.parse(packed) as [{ filename: string }])[0].filename)
  await project.install('.')
  for (const name of [...Object.keys(manifest.dependencies), ...alsoImports]) {
    const link = join(dir, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), link)
  }
  project.write('package.json', JSON.stringify({ name: 'somebody', private: true, type: 'module' }))
  return project
}

function run(command: string, args: readonly string[], cwd: string, env = process.env): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { cwd, env, timeout: 60_000 }, (error, stdout) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${error.message}\n${stdout}`)) // the message holds the command and its standard error
    })
    child.stdin?.end()
  })
}
