// The schema, one step per version. Steps are only ever added.
import { ConfigurationError } from '../../core/errors.js'
import type { Db } from './engine.js'

/** Names of the tables, with the namespace's prefix. */
export interface Tables {
  readonly migrations: string
  readonly jobs: string
  readonly queues: string
  readonly workers: string
  readonly state: string
  readonly meta: string
  readonly logs: string
  readonly subscriptions: string
  readonly events: string
  /** For names of indexes. */
  readonly prefix: string
}

/** Table names of a namespace; the default one has the prefix `millrace_`. */
export function tablesOf(namespace: string | undefined): Tables {
  const prefix =
    namespace === undefined ? 'millrace_' : `millrace_${namespace.replace(/[^A-Za-z0-9]/g, escapeCharacter)}__`
  const name = (table: string) => `"${prefix}${table}"`
  return {
    migrations: name('migrations'),
    jobs: name('jobs'),
    queues: name('queues'),
    workers: name('workers'),
    state: name('state'),
    meta: name('meta'),
    logs: name('logs'),
    subscriptions: name('subscriptions'),
    events: name('events'),
    prefix,
  }
}

// `a.b` and `a_b` are two namespaces; a single underscore never ends one, so prefixes cannot run into each other.
const escapeCharacter = (c: string) => `_${c.charCodeAt(0).toString(16)}`

type Step = (t: Tables) => string

const STEPS: readonly Step[] = [
  (t) => `
    CREATE TABLE ${t.jobs} (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      queue TEXT NOT NULL,
      name TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('scheduled', 'ready', 'active', 'completed', 'dead', 'cancelled')),
      priority INTEGER NOT NULL,
      due_at INTEGER NOT NULL,
      body TEXT NOT NULL,
      headers TEXT NOT NULL,
      enqueued_at INTEGER NOT NULL,
      expires_at INTEGER,
      expires_in INTEGER,
      unique_key TEXT,
      unique_until TEXT,
      unique_until_at INTEGER,
      holds_key INTEGER NOT NULL DEFAULT 0,
      job_group TEXT,
      keep_completed INTEGER NOT NULL,
      keep_dead INTEGER NOT NULL,
      run INTEGER NOT NULL DEFAULT 0,
      attempts INTEGER NOT NULL DEFAULT 0,
      crashes INTEGER NOT NULL DEFAULT 0,
      suspect INTEGER NOT NULL DEFAULT 0,
      start_written INTEGER NOT NULL DEFAULT 0,
      cancelling INTEGER NOT NULL DEFAULT 0,
      worker TEXT,
      blocked TEXT,
      blocked_since INTEGER,
      progress REAL,
      note TEXT,
      result TEXT,
      reason TEXT,
      errors TEXT NOT NULL DEFAULT '[]',
      started_at INTEGER,
      finished_at INTEGER,
      prune_at INTEGER
    ) STRICT;
    -- Partial, so that finished jobs cost nothing where work is found.
    CREATE INDEX "${t.prefix}jobs_ready" ON ${t.jobs} (queue, priority DESC, due_at, seq) WHERE state = 'ready' AND suspect = 0;
    CREATE INDEX "${t.prefix}jobs_suspect" ON ${t.jobs} (queue, due_at, seq) WHERE state = 'ready' AND suspect = 1;
    CREATE INDEX "${t.prefix}jobs_scheduled" ON ${t.jobs} (queue, due_at, attempts) WHERE state = 'scheduled';
    CREATE INDEX "${t.prefix}jobs_active" ON ${t.jobs} (worker) WHERE state = 'active';
    CREATE INDEX "${t.prefix}jobs_dead_newest" ON ${t.jobs} (seq) WHERE state = 'dead';
    CREATE INDEX "${t.prefix}jobs_dead" ON ${t.jobs} (queue, seq) WHERE state = 'dead';
    CREATE INDEX "${t.prefix}jobs_prune" ON ${t.jobs} (prune_at) WHERE prune_at IS NOT NULL;
    CREATE UNIQUE INDEX "${t.prefix}jobs_unique" ON ${t.jobs} (name, unique_key) WHERE holds_key = 1;
    CREATE TABLE ${t.queues} (name TEXT PRIMARY KEY, declared_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE ${t.workers} (id TEXT PRIMARY KEY, beat INTEGER NOT NULL, stopping INTEGER NOT NULL, info TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE ${t.state} (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL, expires_at INTEGER) STRICT, WITHOUT ROWID;
    CREATE TABLE ${t.meta} (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO ${t.meta} (key, value) VALUES ('version', 0);
  `,
  // Lines of log, which end with their job; a job's number is used again after it. And what an operator asks for first:
  // which jobs nobody can do, and which have taken a worker with them.
  (t) => `
    CREATE TABLE ${t.logs} (
      seq INTEGER NOT NULL,
      n INTEGER NOT NULL,
      at INTEGER NOT NULL,
      level TEXT NOT NULL,
      attempt INTEGER NOT NULL,
      text TEXT NOT NULL,
      PRIMARY KEY (seq, n)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER "${t.prefix}logs_end" AFTER DELETE ON ${t.jobs} BEGIN
      DELETE FROM ${t.logs} WHERE seq = old.seq;
    END;
    CREATE INDEX "${t.prefix}jobs_blocked" ON ${t.jobs} (blocked, seq) WHERE blocked IS NOT NULL;
    CREATE INDEX "${t.prefix}jobs_suspects" ON ${t.jobs} (seq) WHERE state = 'ready' AND suspect = 1;
    ALTER TABLE ${t.workers} ADD COLUMN beat_at INTEGER NOT NULL DEFAULT 0;
  `,
  // Events: who gets copies, and the log. Places in the log are never used again.
  (t) => `
    CREATE TABLE ${t.subscriptions} (
      name TEXT PRIMARY KEY,
      queue TEXT NOT NULL,
      patterns TEXT NOT NULL,
      declared_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ${t.events} (
      n INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      name TEXT NOT NULL,
      body TEXT NOT NULL,
      headers TEXT NOT NULL,
      published_at INTEGER NOT NULL,
      keep_completed INTEGER NOT NULL,
      keep_dead INTEGER NOT NULL,
      prune_at INTEGER NOT NULL
    ) STRICT;
    -- All that a look through the log asks for, so that it reads no bodies.
    CREATE INDEX "${t.prefix}events_look" ON ${t.events} (n, published_at, name);
    CREATE INDEX "${t.prefix}events_prune" ON ${t.events} (prune_at);
  `,
  // Jobs that another broker moves: how often a job was handed to it, and when that is to be done the next time.
  (t) => `
    ALTER TABLE ${t.jobs} ADD COLUMN ticket INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE ${t.jobs} ADD COLUMN hand_at INTEGER;
    CREATE INDEX "${t.prefix}jobs_hand" ON ${t.jobs} (hand_at) WHERE hand_at IS NOT NULL;
  `,
  // Of a job that waits, the worker is who hands it to that broker.
  (t) => `
    CREATE INDEX "${t.prefix}jobs_handing" ON ${t.jobs} (worker)
      WHERE state = 'ready' AND worker IS NOT NULL AND hand_at IS NOT NULL;
  `,
]

/** The schema version that this code writes. */
export const SCHEMA_VERSION = STEPS.length

/** The version in the file; 0 when there is no schema yet. */
export function schemaVersion(db: Db, t: Tables): number {
  const there = db.get(`SELECT 1 AS yes FROM sqlite_schema WHERE type = 'table' AND name = ?`, `${t.prefix}migrations`)
  if (!there) return 0
  return Number(db.get(`SELECT max(version) AS version FROM ${t.migrations}`)?.['version'] ?? 0)
}

/**
 * Bring the schema to this code's version. Must run inside a write transaction, which is what makes it safe to race.
 * @throws ConfigurationError when the file is newer than the code.
 */
export function migrate(db: Db, t: Tables, file: string): void {
  const from = schemaVersion(db, t)
  checkNotNewer(from, file)
  if (from === SCHEMA_VERSION) return
  db.exec(
    `CREATE TABLE IF NOT EXISTS ${t.migrations} (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT`,
  )
  STEPS.slice(from).forEach((step, i) => {
    db.exec(step(t))
    db.run(`INSERT INTO ${t.migrations} (version, applied_at) VALUES (?, ?)`, from + i + 1, Date.now())
  })
}

/** @throws ConfigurationError unless the schema fits this code. */
export function checkVersion(version: number, file: string): void {
  checkNotNewer(version, file)
  if (version < SCHEMA_VERSION)
    throw new ConfigurationError(
      `${file} has schema version ${version}, this code needs ${SCHEMA_VERSION}, and \`migrate\` is false. Run \`millrace setup\` first.`,
    )
}

function checkNotNewer(version: number, file: string): void {
  if (version > SCHEMA_VERSION)
    throw new ConfigurationError(
      `${file} has schema version ${version}, newer than this code's ${SCHEMA_VERSION}. Update the millrace package in this process; nothing was changed.`,
    )
}
