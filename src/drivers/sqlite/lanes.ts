// Finding work for consumers. A lane is one consumer as the connection's side sees it: how many jobs it may still receive.
// Work is taken in the transactions that run anyway, and a look that finds nothing takes no lock.
import type { Claims } from './broker-sql.js'
import type { Db, SqlValue } from './engine.js'
import { ROW } from './broker-sql.js'
import type { Run } from './settle.js'
import { createSlots, type Cells, type Slots } from './slots.js'

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
  /** The last look found many. */
  many: boolean
  /** Something may be ready. */
  hot: boolean
  /** Whoever receives does not answer: nothing more goes there. */
  blocked: boolean
  readonly slots: Slots<Run>
  timer: NodeJS.Timeout | undefined
}

/** What was taken for a lane in a transaction that is not committed yet. */
export interface Taken {
  readonly lane: number
  /** `ROW` values each, the last one its slot. */
  readonly values: SqlValue[]
  readonly suspect: boolean
}

export interface Lanes {
  readonly size: number
  open(o: { lane: number; queue: string; worker: string; cells: Cells }): void
  close(lane: number): void
  credit(lane: number, allowed: number, suspectsEnded: number): void
  /** Something may be ready in this queue, or in any. */
  ready(queue?: string): void
  /** Something may have changed in the file: look. */
  wake(): void
  /** The worker does not answer, or answers again. Gives what it has not begun, which is not its own any more. */
  block(worker: string, on: boolean): Run[]
  /** Whether a transaction now would take something, as far as is known. */
  readonly hungry: boolean
  /** Take what the lanes may have; inside a transaction. */
  take(db: Db): Taken[]
  /** The transaction of `take` did not come about. */
  undo(taken: readonly Taken[]): void
  end(): void
}

/** Jobs of one lane in one transaction: enough to make an fsync cheap, few enough to let others in. */
const MOST = 500
/** So many at once promise that there will be many again. */
const MANY = 50
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
  const isHungry = (lane: Lane) => lane.hot && room(lane) > 0 && !lane.blocked

  function lookIn(lane: Lane, ms: number): void {
    clearTimeout(lane.timer)
    lane.timer = setTimeout(() => look(lane), Math.max(1, Math.min(ms, o.pollEvery))).unref()
  }

  /** Reading first: a look that finds nothing must not take the write lock. */
  function look(lane: Lane): void {
    lookIn(lane, o.pollEvery)
    if (lane.blocked || room(lane) <= 0) return
    if (lane.hot) return o.hungry() // what was asked for has failed
    try {
      const { ready, suspect, due } = o.claims.look(o.db(), lane.queue)
      const dueIn = due - Date.now()
      lane.hot = ready || dueIn <= 0 || (suspect && mayTakeSuspect(lane))
      if (lane.hot) o.hungry()
      else lookIn(lane, dueIn)
    } catch (error) {
      o.onError(error, lane.queue)
      lookIn(lane, PAUSE_AFTER_ERROR)
    }
  }

  const self: Lanes = {
    get size() {
      return lanes.size
    },
    open({ lane: id, queue, worker, cells }) {
      const lane: Lane = {
        id,
        queue,
        worker,
        allowed: 0,
        handed: 0,
        suspects: 0,
        suspectsEnded: 0,
        many: false,
        hot: true,
        blocked: false,
        slots: createSlots(cells),
        timer: undefined,
      }
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
    block(worker, on) {
      const back: Run[] = []
      for (const lane of lanes.values()) {
        if (lane.worker !== worker) continue
        lane.blocked = on
        if (on) back.push(...lane.slots.takeBack())
        else if (isHungry(lane)) o.hungry()
      }
      return back
    },
    get hungry() {
      for (const lane of lanes.values()) if (isHungry(lane)) return true
      return false
    },
    take(db) {
      const taken: Taken[] = []
      try {
        for (const lane of lanes.values()) {
          const n = room(lane)
          if (!isHungry(lane)) continue
          const { queue, worker, many } = lane
          const { values, suspect, due } = o.claims.take(db, { worker, queue, n, suspects: mayTakeSuspect(lane), many })
          const count = values.length / ROW
          for (let at = 0; at < values.length; at += ROW)
            values[at + ROW - 1] = lane.slots.hand({
              seq: values[at] as number,
              id: values[at + 1] as string,
              run: values[at + 7] as number,
            })
          lane.handed += count
          lane.many = count > MANY
          if (suspect) lane.suspects += 1
          if (count > 0) taken.push({ lane: lane.id, values, suspect })
          if (count === n) continue
          // Nothing more is ready; a scheduled job may be next.
          lane.hot = false
          lookIn(lane, due - Date.now())
        }
        return taken
      } catch (error) {
        self.undo(taken) // what came of the lanes before
        throw error
      }
    },
    undo(taken) {
      for (const { lane: id, values, suspect } of taken) {
        const lane = lanes.get(id)
        if (!lane) continue
        if (suspect) lane.suspects -= 1
        for (let at = 0; at < values.length; at += ROW) lane.slots.undo(values[at + ROW - 1] as number)
        lane.handed -= values.length / ROW
        lane.hot = true
      }
    },
    end() {
      for (const id of lanes.keys()) self.close(id)
    },
  }
  return self
}
