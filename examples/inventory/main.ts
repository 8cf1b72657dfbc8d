// An inventory of a folder: one durable job per file, worked in this process. Stop it when you like, and start it again.
//   npm start                                    the project's own node_modules
//   npm start -- FOLDER [--db FILE] [--json]
import { realpathSync, statSync } from 'node:fs'
import { resolve, sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connect, createLogger, MillraceError } from 'millrace'
import { count, printable } from './format.js'
import { createProgress } from './progress.js'
import { report, reportJson } from './report.js'
import { createTally } from './tally.js'
import { inventoryFile, type ListedFile } from './tasks.js'
import { walk } from './walk.js'
import inventoryWorker from './worker.js'

const USAGE = 'Usage: npm start -- [FOLDER] [--db FILE] [--json]'
const OWN_MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url))
/** Files per call of `enqueueMany`: one write to the disk each. */
const BATCH = 500
/** Between two looks at the jobs while there is nothing to catch up with. */
const PAUSE = 100
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 }

class WrongUse extends Error {}

function readArguments() {
  const { values, positionals } = parse()
  if (values.help) return undefined
  if (positionals.length > 1) throw new WrongUse(`${positionals.length} folders are given, one is expected. ${USAGE}`)
  const folder = positionals[0] ?? OWN_MODULES
  const found = statSync(folder, { throwIfNoEntry: false })
  if (!found) throw new WrongUse(`${folder} does not exist.`)
  if (!found.isDirectory()) throw new WrongUse(`${folder} is a file. Give a folder.`)
  return { folder: realpathSync(folder), db: values.db, json: values.json }
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        db: { type: 'string', default: 'inventory.db' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new WrongUse(`${(error as Error).message.split('. ')[0]}. ${USAGE}`)
  }
}

async function main(): Promise<void> {
  const given = readArguments()
  if (!given) return console.log(USAGE)
  const { folder, db, json } = given
  const url = `sqlite:${db.split('/').map(encodeURIComponent).join('/')}`
  const progress = createProgress(process.stderr)
  const client = await connect(url, { log: createLogger('error', progress.line) })

  // The first Ctrl-C ends both loops below; closing the client gives back what the worker has in hand. That takes seconds
  // at most, so a second Ctrl-C changes nothing (and `npm` passes each one on twice).
  const interrupted = new AbortController()
  let stoppedBy: keyof typeof EXIT_CODES | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      stoppedBy ??= signal
      interrupted.abort()
    })

  const startedAt = Date.now()
  const worker = await client.work(inventoryWorker)
  const tally = createTally(client, { worker: worker.id, since: new Date(startedAt) })
  const { totals } = tally
  const seconds = () => (Date.now() - startedAt) / 1000
  let listing = true

  // Listing and enqueueing wait for each other, so the files of a batch are all that is in memory. Jobs of the first batch
  // run while the second is listed.
  async function enqueueAll(): Promise<void> {
    const leaveOut = databaseFiles(db)
    if ([...leaveOut].some((path) => path.startsWith(folder + sep)))
      progress.line(`Left out, because this run writes them: ${printable(db)} and its -wal and -shm files.`)
    const onUnreadable = (path: string, error: Error) =>
      progress.line(`Left out, because it cannot be read: ${printable(path)} (${printable(error.message)})`)
    let batch: ListedFile[] = []
    const enqueueBatch = async () => tally.add(await client.enqueueMany(inventoryFile, batch))
    for await (const file of walk(folder, { leaveOut, onUnreadable })) {
      if (stoppedBy) return
      if (batch.push(file) < BATCH) continue
      await enqueueBatch()
      batch = []
    }
    await enqueueBatch()
    listing = false
  }

  async function countUntilDone(): Promise<void> {
    while (!stoppedBy && (listing || tally.open > 0)) {
      const ended = await tally.look()
      const [total, done] = [totals.listed, totals.listed - tally.open]
      progress.show({ total, done, listing, perSecond: totals.worked / seconds(), note: tally.heldUp })
      if (ended < BATCH / 2) await sleep(PAUSE, undefined, { signal: interrupted.signal }).catch(() => {})
    }
  }

  progress.line(`Inventory of ${printable(folder)}, kept in ${printable(db)}`)
  try {
    await Promise.all([enqueueAll(), countUntilDone()])
  } finally {
    progress.end()
    await client.close({ grace: '2s' })
  }
  if (stoppedBy) {
    const done = `${count(totals.listed - tally.open)} of ${count(totals.listed)}${listing ? ' or more' : ''}`
    progress.line(`Stopped: ${done} files are done and kept in ${printable(db)}. To go on, run the same command again.`)
    process.exitCode = EXIT_CODES[stoppedBy]
    return
  }
  const summary = { ...totals, folder, db, url, seconds: seconds() }
  console.log(json ? reportJson(summary) : report(summary))
}

/** SQLite keeps two files beside the database while it is open. */
function databaseFiles(db: string): ReadonlySet<string> {
  const path = realpathSync(resolve(db))
  return new Set([path, `${path}-wal`, `${path}-shm`])
}

main().catch((error: unknown) => {
  const wrongUse = error instanceof WrongUse || (error instanceof MillraceError && error.code === 'ERR_CONFIGURATION')
  if (!wrongUse && !(error instanceof MillraceError)) throw error
  console.error(`inventory: ${printable(error.message)}`)
  process.exitCode = wrongUse ? 2 : 1
})
