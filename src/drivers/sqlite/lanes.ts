// Finding work for consumers. A lane is one consumer as the connection's side sees it: how many jobs it may still receive.
// Work is taken in the transactions that run anyway, and a look that finds nothing takes no lock.
import type { Claims } from './broker-sql.js'
import type { Db, SqlValue } from './engine.js'
import { ROW } from './broker-sql.js'

interface Lane {
  readonly id: number
  readonly queue: string
  readonly worker: string
  /** Deliveries in all that it may have received. */
  allowed: number
  handed: number
  /** Suspects handed over, and those that have left its hands: one at a time. */
  suspects: number
  suspectsEnded: number
  /** Something may be ready. */
  hot: boolean
  timer: NodeJS.Timeout | undefined
}

/** What was taken for a lane in a transaction that is not committed yet. */
export interface Taken {
  readonly lane: number
  readonly values: readonly SqlValue[]
  readonly suspect: boolean
}

export interface Lanes {
  readonly size: number
  open(o: { lane: number; queue: string; worker: string }): void
  close(lane: number): void
  credit(lane: number, allowed: number, suspectsEnded: number): void
  /** Something may be ready in this queue, or in any. */
  ready(queue?: string): void
  /** Something may have changed in the file: look. */
  wake(): void
  /** Whether a transaction now would take something, as far as is known. */
  readonly hungry: boolean
  /** Take what the lanes may have; inside a transaction. */
  take(db: Db): Taken[]
  /** The transaction of `take` did not come about. */
  undo(taken: readonly Taken[]): void
  end(): void
}

/** Jobs of one lane in one transaction: enough to make an fsync cheap, few enough to let others in. */
const MOST = 250
/** After a look that failed. */
const PAUSE_AFTER_ERROR = 500

export function createLanes(o: {
  readonly claims: Claims
  readonly db: () => Db
  /** Milliseconds between two looks when nothing happens. */
  readonly pollEvery: number
  /** Ask for a transaction. */
  hungry(): void
  onError(error: unknown, queue: string): void
}): Lanes {
  const lanes = new Map<number, Lane>()
  const room = (lane: Lane) => Math.min(MOST, lane.allowed - lane.handed)
  const mayTakeSuspect = (lane: Lane) => lane.suspects === lane.suspectsEnded
  const isHungry = (lane: Lane) => lane.hot && room(lane) > 0

  function lookIn(lane: Lane, ms: number): void {
    clearTimeout(lane.timer)
    lane.timer = setTimeout(() => look(lane), Math.max(1, Math.min(ms, o.pollEvery))).unref()
  }

  /** Reading first: a look that finds nothing must not take the write lock. */
  function look(lane: Lane): void {
    if (room(lane) <= 0 || lane.hot) return lookIn(lane, o.pollEvery)
    try {
      const { ready, suspect, due } = o.claims.look(o.db(), lane.queue)
      const dueIn = due - Date.now()
      lane.hot = ready || dueIn <= 0 || (suspect && mayTakeSuspect(lane))
      if (lane.hot) o.hungry()
      lookIn(lane, lane.hot ? o.pollEvery : dueIn)
    } catch (error) {
      o.onError(error, lane.queue)
      lookIn(lane, PAUSE_AFTER_ERROR)
    }
  }

  const self: Lanes = {
    get size() {
      return lanes.size
    },
    open({ lane: id, queue, worker }) {
      const lane: Lane = { id, queue, worker, allowed: 0, handed: 0, suspects: 0, suspectsEnded: 0, hot: true, timer: undefined }
      lanes.set(id, lane)
      lookIn(lane, o.pollEvery)
    },
    close(id) {
      clearTimeout(lanes.get(id)?.timer)
      lanes.delete(id)
    },
    credit(id, allowed, suspectsEnded) {
      const lane = lanes.get(id)
      if (!lane) return
      if (suspectsEnded > lane.suspectsEnded) lane.hot = true
      lane.allowed = allowed
      lane.suspectsEnded = suspectsEnded
      if (isHungry(lane)) o.hungry()
    },
    ready(queue) {
      for (const lane of lanes.values())
        if (queue === undefined || lane.queue === queue) {
          lane.hot = true
          if (isHungry(lane)) o.hungry()
        }
    },
    wake() {
      for (const lane of lanes.values()) look(lane)
    },
    get hungry() {
      for (const lane of lanes.values()) if (isHungry(lane)) return true
      return false
    },
    take(db) {
      const taken: Taken[] = []
      for (const lane of lanes.values()) {
        const n = room(lane)
        if (!lane.hot || n <= 0) continue
        const { queue, worker } = lane
        const { values, suspect } = o.claims.take(db, { worker, queue, n, suspects: mayTakeSuspect(lane) })
        const count = values.length / ROW
        lane.handed += count
        if (suspect) lane.suspects += 1
        if (count > 0) taken.push({ lane: lane.id, values, suspect })
        if (count === n) continue
        // Nothing more is ready; a scheduled job may be next.
        lane.hot = false
        lookIn(lane, o.claims.look(db, queue).due - Date.now())
      }
      return taken
    },
    undo(taken) {
      for (const { lane: id, values, suspect } of taken) {
        const lane = lanes.get(id)
        if (!lane) continue
        if (suspect) lane.suspects -= 1
        lane.handed -= values.length / ROW
        lane.hot = true
      }
    },
    end() {
      for (const id of [...lanes.keys()]) self.close(id)
    },
  }
  return self
}
