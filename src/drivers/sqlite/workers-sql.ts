// Presence in the database: a counter per worker, who watches whom, and what becomes of the jobs of a worker that is gone.
import { PAUSED_PREFIX, type SeenWorker, type WorkerInfo } from '../../driver/driver.js'
import { createLeaseWatch, watchGap, type Beat } from '../../driver/leases.js'
import type { Db } from './engine.js'
import type { Tables } from './migrations.js'
import type { Hooks, OperationSettings } from './hooks.js'
import type { Settle } from './settle.js'

/** What a beat found. */
export interface Beaten {
  /** The worker's entry was there still; when not, its jobs have been given to others. */
  readonly alive: boolean
  /** Ids of its jobs to cancel. */
  readonly revoked: readonly string[]
  readonly paused: readonly string[]
}

/** What workers of an older version, which may beat on the same file during a deploy, do not say of themselves. */
const NEWER = { jobs: [], abandoned: 0, load: 0, loopDelay: 0 }

export function workerReads(t: Tables) {
  const list = `SELECT id, beat_at, info FROM ${t.workers} ORDER BY id`
  return {
    workers: (db: Db): SeenWorker[] =>
      db.all(list).map((row) => ({
        ...NEWER,
        ...(JSON.parse(String(row['info'])) as WorkerInfo),
        worker: String(row['id']),
        beatAt: Number(row['beat_at']),
      })),
  }
}

export function workerWrites(t: Tables, settle: Settle, settings: OperationSettings, hooks: Hooks) {
  const beat = `UPDATE ${t.workers} SET beat = beat + 1, beat_at = ?, stopping = ?, info = ? WHERE id = ?`
  const register = `INSERT INTO ${t.workers} (id, beat, beat_at, stopping, info) VALUES (?, 1, ?, ?, ?)`
  const everybody = `SELECT id, beat, stopping FROM ${t.workers}`
  const revoked = `SELECT id FROM ${t.jobs} WHERE state = 'active' AND worker = ? AND cancelling = 1`
  const paused = `SELECT key FROM ${t.state} WHERE key >= ? AND key < ?`
  const leave = `DELETE FROM ${t.workers} WHERE id = ?`
  // Left by a worker without an entry: after a restore of an older copy of the file, say.
  const strays = `SELECT DISTINCT worker FROM ${t.jobs} WHERE state = 'active' AND worker NOT IN (SELECT id FROM ${t.workers})`
  const exactly = `${everybody} WHERE id = ? AND beat = ?`
  const own = settings.watches

  function bury(db: Db, dead: readonly Beat[]): void {
    for (const { worker, count } of dead) {
      const row = db.get(exactly, worker, count)
      if (!row) continue // somebody was quicker, or it lives
      settle.takeBack(db, worker, { crashed: row['stopping'] === 0, now: Date.now() })
      db.run(leave, worker)
      hooks.log('warn', 'A worker fell silent; its jobs are taken over.', { worker })
      hooks.ready()
    }
  }

  function welcome(db: Db, worker: string, stopping: number, info: string): void {
    db.run(register, worker, Date.now(), stopping, info)
    for (const row of db.all(strays)) settle.takeBack(db, String(row['worker']), { crashed: true, now: Date.now() })
    hooks.ready()
  }

  return {
    /** `again: false`: a worker whose entry is gone is not entered anew. */
    beat(db: Db, o: { worker: string; info: WorkerInfo; again: boolean }): Beaten {
      const { worker, info } = o
      const watch =
        own.get(worker) ??
        createLeaseWatch({ lease: settings.lease, gap: watchGap(settings.lease), now: () => performance.now() })
      own.set(worker, watch)
      const [stopping, text] = [info.stopping ? 1 : 0, JSON.stringify(info)]
      const alive = db.run(beat, Date.now(), stopping, text, worker) === 1
      if (!alive && !o.again) return { alive, revoked: [], paused: [] }
      if (!alive) welcome(db, worker, stopping, text)
      const others = db.all(everybody).filter((row) => row['id'] !== worker)
      bury(db, watch.look(others.map((row) => ({ worker: String(row['id']), count: Number(row['beat']) }))))
      return {
        alive,
        revoked: db.all(revoked, worker).map((row) => String(row['id'])),
        paused: db.all(paused, PAUSED_PREFIX, `${PAUSED_PREFIX}\u{10ffff}`).map((row) => String(row['key'])),
      }
    },
    leave(db: Db, o: { worker: string; crashed: boolean }): void {
      own.delete(o.worker)
      settle.takeBack(db, o.worker, { crashed: o.crashed, now: Date.now() })
      db.run(leave, o.worker)
      hooks.ready()
    },
  }
}
