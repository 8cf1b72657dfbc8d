// An inventory of a folder: one durable job per file, worked in this process. Stop it when you like, and start it again.
//   npm start                                    the project's own node_modules
//   npm start -- FOLDER [--db FILE] [--json]
import { realpathSync } from 'node:fs'
import { sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, createLogger, MillraceError } from 'millrace'
import { readArguments, WrongUse, type Arguments } from './arguments.js'
import { count, printable } from './format.js'
import { createProgress } from './progress.js'
import { report, reportJson } from './report.js'
import { createTally } from './tally.js'
import { inventoryFile, type ListedFile } from './tasks.js'
import { walk } from './walk.js'
import inventoryWorker from './worker.js'

/** Files per call of `enqueueMany`: one write to the disk each. */
const BATCH = 500
/** Between two looks at the jobs while there is nothing to catch up with. */
const PAUSE = 200
/** How long a file may still be read after Ctrl-C, before its job is given back. */
const GRACE = '2s'
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 }

async function inventory({ folder, db, json }: Arguments): Promise<void> {
  const startedAt = Date.now()
  const url = urlOf(db)
  const progress = createProgress(process.stderr)
  progress.line(`Inventory of ${printable(folder)}, kept in ${printable(db)}`)
  const client = await connect(url, { log: createLogger('error', progress.line) })
  const worker = await client.work(inventoryWorker)
  const tally = createTally(client, { worker: worker.id, since: new Date(startedAt) })
  const { totals } = tally
  const seconds = () => (Date.now() - startedAt) / 1000

  // The first Ctrl-C ends both loops below, and stopping the worker gives back what it still has in hand. That takes
  // seconds at most, so a second Ctrl-C changes nothing (and `npm` passes each one on twice).
  const interrupted = new AbortController()
  let stoppedBy: keyof typeof EXIT_CODES | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      stoppedBy ??= signal
      interrupted.abort()
    })

  let listing = true
  // Listing waits for the enqueueing of each batch, so a batch is all it holds in memory; and the first jobs run while it
  // goes on.
  async function enqueueAll(): Promise<void> {
    let batch: ListedFile[] = []
    const enqueueBatch = async () => tally.add(await client.enqueueMany(inventoryFile, batch))
    for await (const file of walk(folder, {
      leaveOut: databaseFiles(folder, db, progress.line),
      warn: progress.line,
    })) {
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

  try {
    await Promise.all([enqueueAll(), countUntilDone()])
    await worker.stop({ grace: GRACE })
    // Interrupted: count what ended since the last look.
    while ((await tally.look()) > 0);
  } finally {
    progress.end()
    await client.close({ grace: GRACE })
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

/** The database as `millrace` and a shell take it, whatever its name. */
function urlOf(db: string): string {
  const escaped = encodeURIComponent(db).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)
  return `sqlite:${escaped.replaceAll('%2F', '/')}`
}

/** The database and the two files that SQLite keeps beside it; says so when they are in the folder. */
function databaseFiles(folder: string, db: string, say: (line: string) => void): ReadonlySet<string> {
  const path = realpathSync(db)
  if (path.startsWith(folder === sep ? sep : folder + sep))
    say(`Left out, because this run writes them: ${printable(db)} and its -wal and -shm files.`)
  return new Set([path, `${path}-wal`, `${path}-shm`])
}

async function main(): Promise<void> {
  // Whoever reads only the first lines (`| head -1`) has what they wanted.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const given = readArguments()
  if ('help' in given) console.log(given.help)
  else await inventory(given)
}

main().catch((error: unknown) => {
  const wrongUse = error instanceof WrongUse || (error instanceof MillraceError && error.code === 'ERR_CONFIGURATION')
  // Anything else is a mistake in this program, and its stack is wanted.
  if (!wrongUse && !(error instanceof MillraceError)) throw error
  console.error(`inventory: ${printable(error.message)}`)
  process.exitCode = wrongUse ? 2 : 1
})
