// What is asked on the command line.
import { realpathSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const USAGE = 'Usage: npm start -- [FOLDER] [--db FILE] [--json]'
const OWN_MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url))

/** A mistake of the user: one line, no stack. */
export class WrongUse extends Error {}

export interface Arguments {
  /** Absolute, and free of symbolic links, so that a file has one path whatever way it was asked for. */
  readonly folder: string
  readonly db: string
  readonly json: boolean
}

/** @throws WrongUse */
export function readArguments(): Arguments | { readonly help: string } {
  const { values, positionals } = attempt(() =>
    parseArgs({
      allowPositionals: true,
      options: {
        db: { type: 'string', default: 'inventory.db' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }),
  )
  if (values.help) return { help: USAGE }
  if (positionals.length > 1) throw new WrongUse(`${positionals.length} folders are given, one is expected. ${USAGE}`)
  const [folder = OWN_MODULES] = positionals
  const found = attempt(() => statSync(folder, { throwIfNoEntry: false }))
  if (!found) throw new WrongUse(`${folder} does not exist.`)
  if (!found.isDirectory()) throw new WrongUse(`${folder} is a file. Give a folder.`)
  return { folder: realpathSync(folder), db: values.db, json: values.json }
}

function attempt<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    const [what] = (error as Error).message.split('. ')
    throw new WrongUse(`${what}. ${USAGE}`, { cause: error })
  }
}
