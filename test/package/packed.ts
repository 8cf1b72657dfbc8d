// A project of somebody else's, in a temporary folder, with the package as npm would publish it.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** package.json, the part that the tests read. */
export const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>
  dependencies: Record<string, string>
}

/** What the package can be imported as: 'millrace', 'millrace/contracts', … */
export const entries: readonly string[] = Object.keys(manifest.exports)
  .filter((key) => !key.endsWith('.json'))
  .map((key) => `millrace${key.slice(1)}`)

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Run a program to its end; what it wrote and how it ended, also when it failed. */
export function run(command: string, args: readonly string[], cwd: string, env = process.env): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd, env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr }),
    )
    child.stdin?.end()
  })
}

export class Project {
  private constructor(
    readonly dir: string,
    private readonly tarball: string,
  ) {}

  /** A folder with the packed package and links to its dependencies, and to what else its programs import. */
  static async create(alsoImports: readonly string[] = []): Promise<Project> {
    if (!existsSync(join(ROOT, 'dist/index.js'))) throw new Error('dist/ is not there. Run: npm run build')
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-package-')))
    // Its scripts would build dist/ anew under the tests that run beside this one.
    const pack = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir], ROOT)
    if (pack.code !== 0) throw new Error(`npm pack: ${pack.stderr}`)
    const [{ filename }] = JSON.parse(pack.stdout) as [{ filename: string }]
    const project = new Project(dir, join(dir, filename))
    await project.install('.')
    for (const name of [...Object.keys(manifest.dependencies), ...alsoImports]) {
      const link = join(dir, 'node_modules', name)
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(join(ROOT, 'node_modules', name), link)
    }
    project.write('package.json', JSON.stringify({ name: 'somebody', private: true, type: 'module' }))
    return project
  }

  /** One more copy of the package, for the programs in `folder`. */
  async install(folder: string): Promise<void> {
    const into = join(this.dir, folder, 'node_modules/millrace')
    mkdirSync(into, { recursive: true })
    const tar = await run('tar', ['-xzf', this.tarball, '-C', into, '--strip-components=1'], this.dir)
    if (tar.code !== 0) throw new Error(`tar: ${tar.stderr}`)
  }

  write(file: string, content: string): string {
    const path = join(this.dir, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    return path
  }

  /** Write a program and run it with this Node; rejects unless it ends well. Answers its standard output. */
  async node(file: string, program: string, flags: readonly string[] = [], env = {}): Promise<string> {
    const done = await run(process.execPath, [...flags, this.write(file, program)], this.dir, { ...process.env, ...env })
    if (done.code !== 0) throw new Error(`${file} ended with ${done.code}:\n${done.stdout}${done.stderr}`)
    return done.stdout
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** The compilers that the types are checked with, oldest first. */
export const COMPILERS = ['typescript5', 'typescript', 'typescript7'] as const
export type Compiler = (typeof COMPILERS)[number]

/** Run a compiler in a folder; what it complains of, or ''. */
export async function diagnose(compiler: Compiler, args: readonly string[], cwd: string): Promise<string> {
  const tsc = join(ROOT, 'node_modules', compiler, 'bin/tsc')
  const { code, stdout, stderr } = await run(process.execPath, [tsc, ...args], cwd)
  return code === 0 ? '' : `${stdout}${stderr}` || `ended with ${code}`
}
