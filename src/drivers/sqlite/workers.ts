// Presence: a counter per worker, who watches whom, and what becomes of the jobs of a worker that is gone.
import { PAUSED_PREFIX, type WorkerInfo, type Workers } from '../../driver/driver.js'
import { createLeaseWatch, watchGap, type Beat, type LeaseWatch } from '../../driver/leases.js'
import type { Db } from './engine.js'
import type { Tables } from './migrations.js'
import type { Store } from './store.js'

export function createWorkers(store: Store): Workers {
  const { settings } = store
  const sql = store.statements(statementsOf)
  /** Workers of this process, each with its own watch: only who beats without a gap may judge others. */
  const own = new Map<string, LeaseWatch>()

  function bury(db: Db, dead: readonly Beat[]): readonly Beat[] {
    const buried: Beat[] = []
    for (const one of dead) {
      const { worker, count } = one
      const row = db.get(sql().exactly, worker, count)
      if (!row) continue // somebody was quicker, or it lives
      store.settle.takeBack(db, worker, { crashed: row['stopping'] === 0, now: Date.now() })
      db.run(sql().leave, worker)
      buried.push(one)
    }
    return buried
  }

  function welcome(db: Db, worker: string, stopping: number, info: string): void {
    db.run(sql().register, worker, Date.now(), stopping, info)
    for (const row of db.all(sql().strays))
      store.settle.takeBack(db, String(row['worker']), { crashed: true, now: Date.now() })
  }

  return {
    async beat({ worker, info }) {
      const known = own.get(worker)
      const watch =
        known ??
        createLeaseWatch({ lease: settings.lease, gap: watchGap(settings.lease), now: () => performance.now() })
      const [stopping, text] = [info.stopping ? 1 : 0, JSON.stringify(info)]
      const seen = await store.commits.write((db) => {
        const alive = db.run(sql().beat, Date.now(), stopping, text, worker) === 1
        if (!alive) welcome(db, worker, stopping, text)
        const others = db.all(sql().everybody).filter((row) => row['id'] !== worker)
        const dead = watch.look(others.map((row) => ({ worker: String(row['id']), count: Number(row['beat']) })))
        return {
          alive,
          tookBack: bury(db, dead),
          revoked: db.all(sql().revoked, worker).map((row) => String(row['id'])),
          paused: db.all(sql().paused, PAUSED_PREFIX, `${PAUSED_PREFIX}\u{10ffff}`).map((row) => String(row['key'])),
        }
      })
      own.set(worker, watch)
      // We were taken for dead: whatever we hold has been given to others.
      if (known && !seen.alive) store.hands.lose(worker, 'lease')
      if (seen.revoked.length > 0) store.hands.lose(worker, 'cancelled', seen.revoked)
      for (const one of seen.tookBack)
        store.log('warn', 'A worker fell silent; its jobs are taken over.', { worker: one.worker })
      if (seen.tookBack.length > 0 || !known) store.notify('work')
      return { revoked: seen.revoked, paused: seen.paused.map((key) => key.slice(PAUSED_PREFIX.length)) }
    },
    async leave({ worker, crashed = false }) {
      own.delete(worker)
      await store.commits.write((db) => {
        store.settle.takeBack(db, worker, { crashed, now: Date.now() })
        db.run(sql().leave, worker)
      })
      store.notify('work')
    },
    list: async () =>
      store.read((db) =>
        db.all(sql().list).map((row) => ({
          ...NEWER,
          ...(JSON.parse(String(row['info'])) as WorkerInfo),
          worker: String(row['id']),
          beatAt: Number(row['beat_at']),
        })),
      ),
  }
}

/** What workers of an older version, which may beat on the same file during a deploy, do not say of themselves. */
const NEWER = { jobs: [], abandoned: 0, load: 0, loopDelay: 0 }

function statementsOf(t: Tables) {
  const beat = `UPDATE ${t.workers} SET beat = beat + 1, beat_at = ?, stopping = ?, info = ? WHERE id = ?`
  const register = `INSERT INTO ${t.workers} (id, beat, beat_at, stopping, info) VALUES (?, 1, ?, ?, ?)`
  const everybody = `SELECT id, beat, stopping FROM ${t.workers}`
  const revoked = `SELECT id FROM ${t.jobs} WHERE state = 'active' AND worker = ? AND cancelling = 1`
  const paused = `SELECT key FROM ${t.state} WHERE key >= ? AND key < ?`
  const leave = `DELETE FROM ${t.workers} WHERE id = ?`
  // Left by a worker without an entry: after a restore of an older copy of the file, say.
  const strays = `SELECT DISTINCT worker FROM ${t.jobs} WHERE state = 'active' AND worker NOT IN (SELECT id FROM ${t.workers})`
  const exactly = `${everybody} WHERE id = ? AND beat = ?`
  const list = `SELECT id, beat_at, info FROM ${t.workers} ORDER BY id`
  return { beat, register, everybody, exactly, revoked, paused, leave, strays, list }
}
