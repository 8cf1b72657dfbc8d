// Lines that handlers logged: the newest of each job, numbered within it. A trigger removes them with their job.
import { KEPT_LINES, type KeptLine, type LogLine } from '../../driver/driver.js'
import type { Db, Row } from './engine.js'
import type { Tables } from './migrations.js'

export interface Logs {
  /** Keep lines of this run, unless the job has gone on to another since. Must run inside a transaction. */
  add(db: Db, id: string, run: number, lines: readonly LogLine[]): void
  /** Oldest first, behind the line numbered `after`. */
  list(db: Db, o: { readonly id: string; readonly after?: number; readonly limit: number }): KeptLine[]
}

export function createLogs(t: Tables): Logs {
  const place = `
    SELECT seq, (SELECT coalesce(max(n), 0) FROM ${t.logs} WHERE seq = ${t.jobs}.seq) AS last
    FROM ${t.jobs} WHERE id = ? AND run = ?`
  const insert = `INSERT INTO ${t.logs} (seq, n, at, level, attempt, text) VALUES (?, ?, ?, ?, ?, ?)`
  const drop = `DELETE FROM ${t.logs} WHERE seq = ? AND n <= ?`
  const page = `
    SELECT n, at, level, attempt, text FROM ${t.logs}
    WHERE seq = (SELECT seq FROM ${t.jobs} WHERE id = ?) AND n > ? ORDER BY n LIMIT ?`

  return {
    add(db, id, run, lines) {
      const job = db.get(place, id, run)
      if (!job) return
      const [seq, last] = [Number(job['seq']), Number(job['last'])]
      lines.forEach((line, i) => db.run(insert, seq, last + 1 + i, line.at, line.level, line.attempt, line.text))
      const newest = last + lines.length
      if (newest > KEPT_LINES) db.run(drop, seq, newest - KEPT_LINES)
    },
    list: (db, { id, after = 0, limit }) => db.all(page, id, after, limit).map(lineOf),
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
