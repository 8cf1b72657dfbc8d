// The drivers that can be measured, each with what it is compared with. A new driver is a line here.
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { millrace } from './millrace.js'
import { bare } from './peers/bare.js'
import { plainjob } from './peers/plainjob.js'
import type { Peer, Subject } from './subject.js'
import { versionOf } from './versions.js'

export interface MeasuredDriver {
  /** Its durability modes, the default first. */
  readonly durabilities: readonly string[]
  readonly peers: readonly Peer[]
  /** Millrace on it. */
  subject(o: { durability: string }): Subject
  /** Versions of the products behind it, for the line of a figure. */
  versions(): Readonly<Record<string, string>>
}

export const DRIVERS: Readonly<Record<string, MeasuredDriver>> = {
  sqlite: {
    durabilities: ['full', 'normal'],
    peers: [plainjob, bare],
    subject: ({ durability }) =>
      millrace({ durability, urlIn: (folder) => `sqlite:${join(folder, 'jobs.db')}?durability=${durability}` }),
    versions: sqliteVersions,
  },
}

/** The library that Millrace takes by default on this Node (docs/drivers.md); the peers always take better-sqlite3. */
function sqliteVersions(): { sqlite: string; library: string } {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 13))
    return { sqlite: process.versions['sqlite'] ?? 'unknown', library: 'node:sqlite' }
  const db = new Database(':memory:')
  const sqlite = db.prepare('SELECT sqlite_version()').pluck().get() as string
  db.close()
  return { sqlite, library: `better-sqlite3 ${versionOf('better-sqlite3')}` }
}

/** Millrace, or one of the peers by its name. */
export function subjectOf(o: { driver: string; subject: string; durability: string }): Subject {
  const driver = DRIVERS[o.driver]!
  return driver.peers.find(({ name }) => name === o.subject) ?? driver.subject(o)
}
