// Millrace on a SQLite file, beside plainjob and the bare loop of better-sqlite3.
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { millrace } from '../millrace.js'
import { bare } from '../peers/bare.js'
import { plainjob } from '../peers/plainjob.js'
import { versionOf } from '../versions.js'
import type { MeasuredDriver } from './driver.js'

export const sqlite: MeasuredDriver = {
  durabilities: ['full', 'normal'],
  peers: [plainjob, bare],
  cases: {
    'bulk-enqueue': [{ of: 'bare', least: 0.5 }],
    'single-enqueue-1': [],
    'single-enqueue-64': [{ of: 'value', least: 40_000 }],
    drain: [
      { of: 'value', least: 80_000 },
      { of: 'plainjob', least: 4 },
    ],
    'latency-local-p50': [{ of: 'value', most: 1 }],
    'latency-cross-p50': [{ of: 'value', most: 5 }],
    'delay-lateness': [{ of: 'value', most: 100 }],
    'idle-cpu': [{ of: 'value', most: 1 }],
    'drain-1m-waiting': [{ of: 'baseline', least: 0.9 }],
    'drain-1m-finished': [{ of: 'baseline', least: 0.9 }],
    'rss-growth': [{ of: 'value', most: 20 }],
    gateway: [],
  },
  subject({ durability }) {
    const urlIn = (folder: string) => `sqlite:${join(folder, 'jobs.db')}?durability=${durability}`
    return millrace({ durability, url: urlIn, targetIn: urlIn })
  },
  versions: sqliteVersions,
}

/** The library that Millrace takes by default on this Node (docs/drivers.md); the peers always take better-sqlite3. */
export function sqliteVersions(): { sqlite: string; library: string } {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 13))
    return { sqlite: process.versions['sqlite'] ?? 'unknown', library: 'node:sqlite' }
  const db = new Database(':memory:')
  const version = db.prepare('SELECT sqlite_version()').pluck().get() as string
  db.close()
  return { sqlite: version, library: `better-sqlite3 ${versionOf('better-sqlite3')}` }
}
