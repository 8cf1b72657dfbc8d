// Loads worker files, TypeScript or JavaScript, on every Node: through jiti, which keeps one instance of this package.
import { statSync } from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { WorkerPlan } from '../worker/define.js'
import type { WorkerDefinition, WorkerOptions } from '../worker/types.js'
import { Failure, oneLine, textOf, UsageError } from './fail.js'

/** A file whose default export is a worker. */
export interface LoadedWorker {
  readonly file: string
  /** The worker's options. A worker given as a function runs it, which may open resources: call `onStop` afterwards. */
  open(): Promise<WorkerOptions>
}

/**
 * @throws UsageError when there is no such file or it exports no worker; Failure when it throws, naming the place
 */
export async function loadWorker(file: string): Promise<LoadedWorker> {
  const path = resolve(file)
  checkFile(file, path)
  const { createJiti } = await import('jiti')
  // The file's own place, so that its tsconfig.json and its packages are found.
  const jiti = createJiti(pathToFileURL(path).href, { tsconfigPaths: true })
  let module: { readonly default?: unknown }
  try {
    module = await jiti.import(path)
  } catch (error) {
    throw new Failure(whyNotLoaded(file, error), { cause: error })
  }
  const worker = defaultOf(module)
  if (!isWorker(worker)) throw new UsageError(`${file} ${whatInstead(module, worker)}. ${EXPECTED}`)
  return { file, open: () => optionsOf(file, worker) }
}

/** Use the checked options of a worker without running it, and close afterwards what its function opened. */
export async function withPlan<T>(worker: LoadedWorker, use: (plan: WorkerPlan) => Promise<T>): Promise<T> {
  const { planOf } = await import('../worker/define.js')
  const options = await worker.open()
  try {
    return await use(await planOf(options, {}))
  } finally {
    await options?.onStop?.()
  }
}

const EXPECTED = 'Write: export default defineWorker({ handlers: [...] }).'

function checkFile(file: string, path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) throw new UsageError(`${file}: there is no such file. Give the path of the file that exports the worker.`)
  if (!stat.isFile())
    throw new UsageError(`${file} is no file. Give the path of the file that exports the worker, such as worker.ts.`)
}

/** jiti mixes the default export with the others; the property itself says what was exported. */
function defaultOf(module: { readonly default?: unknown }): unknown {
  const own = Object.getOwnPropertyDescriptor(module, 'default')
  if (own === undefined) return module // `module.exports = …` of CommonJS
  return 'value' in own ? (own.value as unknown) : module.default
}

function isWorker(value: unknown): value is WorkerDefinition | WorkerOptions {
  if (typeof value !== 'object' || value === null) return false
  const { kind, '~make': make, handlers } = value as Partial<WorkerDefinition> & Partial<WorkerOptions>
  return (kind === 'worker' && typeof make === 'function') || handlers !== undefined
}

function whatInstead(module: object, value: unknown): string {
  const names = Object.keys(module)
  if (!names.includes('default')) {
    const others = names.length === 0 ? 'and no other export either' : `only ${names.join(', ')}`
    return `has no default export, ${others}`
  }
  if (value === undefined || value === null) return `exports ${value} as its default, not a worker`
  const kind = (value as { kind?: unknown }).kind
  const name = typeof kind === 'string' ? kind : Array.isArray(value) ? 'array' : typeof value
  return `exports ${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name} as its default, not a worker`
}

async function optionsOf(file: string, worker: WorkerDefinition | WorkerOptions): Promise<WorkerOptions> {
  if ('handlers' in worker) return worker
  try {
    return (await worker['~make']?.()) as WorkerOptions
  } catch (error) {
    throw new Failure(`${file}: the worker's function threw ${textOf(error)}${placeIn(error)}`, { cause: error })
  }
}

function whyNotLoaded(file: string, error: unknown): string {
  const { code, requireStack } = (error ?? {}) as { code?: unknown; requireStack?: readonly string[] }
  const [first] = textOf(error).split('\n')
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') {
    const importer = requireStack?.[0]
    const from = importer === undefined ? '' : `, imported by ${shortPath(importer)}`
    return `${file} was found, but something it imports was not: ${first}${from}`
  }
  // jiti's own syntax errors carry the place in the message.
  const text = error instanceof Error ? oneLine(textOf(error)) : textOf(error)
  return `${file} threw while it was loaded: ${text.replaceAll(process.cwd() + sep, '')}${placeIn(error)}`
}

const OWN = fileURLToPath(new URL('..', import.meta.url))

/** ` (worker.ts:3:21)`: the first place in the stack that is code of the user; nothing when there is none. */
export function placeIn(error: unknown): string {
  if (!(error instanceof Error)) return ''
  for (const line of (error.stack ?? '').split('\n')) {
    const [, where, position] = /^\s+at .*?((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/])[^()]*?):(\d+:\d+)\)?$/.exec(line) ?? []
    if (where === undefined) continue
    const path = where.startsWith('file:') ? fileURLToPath(where) : where
    if (path.startsWith(OWN) || path.includes(`${sep}node_modules${sep}`)) continue
    return ` (${shortPath(path)}:${position})`
  }
  return ''
}

function shortPath(path: string): string {
  const near = relative(process.cwd(), path)
  return near.startsWith('..') ? path : near
}
