// What handlers say, in the database: progress in the job's row, and the newest lines of log of each job, numbered within
// it. A trigger removes lines with their job.
import { KEPT_LINES, type KeptLine, type LogLine, type Note } from '../../driver/driver.js'
import type { Db, Row } from './engine.js'
import type { Tables } from './migrations.js'
import type { Run, Settle } from './settle.js'

/** Write what a run said; must run inside a transaction. Nothing is written for a run that the job has left behind. */
export type Keep = (db: Db, r: Run, said: Note) => void

export function createKeep(t: Tables, settle: Settle): Keep {
  const last = `
    SELECT (SELECT coalesce(max(n), 0) FROM ${t.logs} WHERE seq = ${t.jobs}.seq) AS n
    FROM ${t.jobs} WHERE seq = ? AND id = ? AND run = ?`
  const insert = `INSERT INTO ${t.logs} (seq, n, at, level, attempt, text) VALUES (?, ?, ?, ?, ?, ?)`
  const drop = `DELETE FROM ${t.logs} WHERE seq = ? AND n <= ?`

  function add(db: Db, { seq, id, run }: Run, lines: readonly LogLine[]): void {
    const row = db.get(last, seq, id, run)
    if (!row) return
    const n = Number(row['n'])
    lines.forEach((line, i) => db.run(insert, seq, n + 1 + i, line.at, line.level, line.attempt, line.text))
    const newest = n + lines.length
    if (newest > KEPT_LINES) db.run(drop, seq, newest - KEPT_LINES)
  }

  return (db, r, { log, ...o }) => {
    if (o.progress !== undefined || o.note !== undefined) settle.note(db, r, o)
    if (log !== undefined) add(db, r, log)
  }
}

export function logReads(t: Tables) {
  const page = `
    SELECT n, at, level, attempt, text FROM ${t.logs}
    WHERE seq = (SELECT seq FROM ${t.jobs} WHERE id = ?) AND n > ? ORDER BY n LIMIT ?`
  return {
    /** Oldest first, behind the line numbered `after`. */
    lines: (db: Db, o: { id: string; after: number; limit: number }): KeptLine[] =>
      db.all(page, o.id, o.after, o.limit).map(lineOf),
  }
}

function lineOf(row: Row): KeptLine {
  return {
    n: Number(row['n']),
    at: Number(row['at']),
    level: String(row['level']) as LogLine['level'],
    attempt: Number(row['attempt']),
    text: String(row['text']),
  }
}
