// Keeps the file small while a worker runs: watches the write-ahead log, which a reader can pin, and gives back to the disk
// what removed jobs leave behind.
import { statSync } from 'node:fs'
import { messageOf } from '../../core/errors.js'
import type { Commits } from './commits.js'
import type { Db } from './engine.js'
import type { Hooks } from './hooks.js'

export interface Storage {
  watch(on: boolean): void
}

const EVERY = 5_000
/** A log of this size is pinned by a reader, or its checkpoints fail: usually it stays near 4 MiB. */
const LARGE_LOG = 64 * 1024 * 1024
/** After a large log has been copied back, its file is cut to this size. */
export const KEPT_LOG = 16 * 1024 * 1024
const TELL_AGAIN = 60_000
/** Free pages are given back when they are so large a part of the file, and so many bytes. */
const FREE_SHARE = 0.25
const FREE_BYTES = 8 * 1024 * 1024
/** Pages that move in one transaction: a few milliseconds. */
const VACUUM_STEP = 128
const BETWEEN_STEPS = 20

export function createStorage(o: {
  db(): Db
  readonly path: string
  readonly commits: Pick<Commits, 'write'>
  readonly log: Hooks['log']
}): Storage {
  let timer: NodeJS.Timeout | undefined
  let toldAt = -Infinity
  let isLarge = false
  let vacuuming = false

  function look(): void {
    try {
      checkLog()
      if (!vacuuming && freeShare(o.db()) > FREE_SHARE) void vacuum()
    } catch (error) {
      o.log('debug', `Could not look after the file: ${messageOf(error)}`, {})
    }
  }

  function checkLog(): void {
    const bytes = statSync(`${o.path}-wal`, { throwIfNoEntry: false })?.size ?? 0
    if (bytes < LARGE_LOG) {
      if (isLarge) o.log('info', 'The write-ahead log is small again.', { bytes })
      isLarge = false
      return
    }
    isLarge = true
    // Copies back what no reader pins, and cuts the file when that is all of it. It never waits: busy_timeout is 0.
    const busy = checkpoint(o.db())
    const now = performance.now()
    if (!busy || now - toldAt < TELL_AGAIN) return
    toldAt = now
    o.log(
      'warn',
      'The write-ahead log grows because another connection keeps a transaction open. Work goes on; end that transaction, or the log fills the disk.',
      { bytes },
    )
  }

  async function vacuum(): Promise<void> {
    vacuuming = true
    try {
      while (timer !== undefined && freeShare(o.db()) > FREE_SHARE / 2) {
        await o.commits.write((db) => db.exec(`PRAGMA incremental_vacuum(${VACUUM_STEP})`), VACUUM_STEP)
        await new Promise((resolve) => setTimeout(resolve, BETWEEN_STEPS).unref())
      }
    } catch (error) {
      o.log('debug', `Could not give space back: ${messageOf(error)}`, {})
    } finally {
      vacuuming = false
    }
  }

  return {
    watch(on) {
      if (on) timer ??= setInterval(look, EVERY).unref()
      else {
        clearInterval(timer)
        timer = undefined
      }
    },
  }
}

/** Whether somebody kept it from copying everything. */
function checkpoint(db: Db): boolean {
  try {
    return db.get('PRAGMA wal_checkpoint(TRUNCATE)')?.['busy'] !== 0
  } catch {
    return true
  }
}

/** The share of free pages, if they are worth the work and the file can give them back; else 0. */
function freeShare(db: Db): number {
  const of = (pragma: string) => Number(Object.values(db.get(`PRAGMA ${pragma}`) ?? { n: 0 })[0])
  const free = of('freelist_count')
  if (free * of('page_size') < FREE_BYTES || of('auto_vacuum') !== INCREMENTAL) return 0
  return free / of('page_count')
}

// https://www.sqlite.org/pragma.html#pragma_auto_vacuum
const INCREMENTAL = 2
