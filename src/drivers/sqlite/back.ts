// The half that holds the connection: carries out what the front asks for, in a thread of its own or, where that cannot be,
// on the main thread. It knows nothing of clients and handlers.
import { messageOf } from '../../core/errors.js'
import type { LeaseWatch } from '../../driver/leases.js'
import { describeLookError } from '../../driver/polling.js'
import { createClaims } from './broker-sql.js'
import { createCommits, translate } from './commits.js'
import type { Db, SqliteConstructor, SqlValue } from './engine.js'
import { createLanes, type Taken } from './lanes.js'
import { checkHandsOver } from './ledger-schema.js'
import { openDatabase, setupOn } from './open.js'
import { tablesOf } from './migrations.js'
import type { Hooks } from './hooks.js'
import { createReads, createWrites, type Reads, type Writes } from './operations.js'
import type { Call, Post, Reply, Turn } from './protocol.js'
import { createFileSignals } from './signals.js'
import { ACK, type Run } from './settle.js'
import type { Cells } from './slots.js'
import { createStorage } from './storage.js'
import { createSubstitute, type BeatArgs } from './substitute.js'

/** What the front has settled before it starts the back; plain data. */
export interface BackOptions {
  readonly file: string
  readonly path: string
  readonly namespace: string | undefined
  readonly create: boolean
  readonly migrate: boolean
  readonly durability: 'full' | 'normal'
  readonly lease: number
  readonly pollEvery: number
  readonly maxCrashes: number
  readonly publishTimeout: number
  /** Jobs are moved by another broker. */
  readonly ledger: boolean
  readonly handingPatience: number
}

export interface Back {
  receive(turn: Turn): void
}

/** Before what must be written is tried again, in milliseconds. */
const PAUSE_AFTER_ERROR = 500

export function createBack(o: BackOptions, engine: () => SqliteConstructor, post: Post<Reply>): Back {
  const t = tablesOf(o.namespace)
  let connection: Db | undefined
  let listening = false
  let holders = 0
  let reply: Reply = {}
  let speaking = false

  /** Say it with the next reply: when everything that came of a transaction has been said, and before the next begins. */
  const say = (): Reply => {
    if (!speaking) process.nextTick(flush)
    speaking = true
    return reply
  }
  function flush(): void {
    speaking = false
    const ready = reply
    reply = {}
    post(ready)
  }
  const answer = (n: number, value: unknown) => void (say().answers ??= []).push([n, value])
  const fail = (n: number, error: unknown) => void (say().failures ??= []).push([n, error])
  const signal = (topic: 'work' | 'done') => {
    if (!listening || reply.signals?.includes(topic)) return
    say().signals = [...(reply.signals ?? []), topic]
  }

  const hooks: Hooks = {
    ready(queue) {
      lanes.ready(queue)
      signal('work')
    },
    done: () => signal('done'),
    log: (level, message, fields) => void (say().log ??= []).push([level, message, fields]),
  }
  const reads = createReads(t)
  /** Workers of this driver, each with its own watch: only who beats without a gap may judge others. */
  const watches = new Map<string, LeaseWatch>()
  const writes = createWrites(t, { ...o, watches }, hooks)
  const db = () => connection!
  const lanes = createLanes({
    claims: createClaims(t),
    db,
    pollEvery: o.pollEvery,
    hungry,
    onError: (error, queue) => hooks.log('warn', describeLookError(translate(error, o.file)), { queue }),
  })
  const commits = createCommits<Taken[]>({
    db,
    file: o.file,
    timeout: () => o.publishTimeout,
    full: o.durability === 'full',
    companion: {
      get wanted() {
        return lanes.hungry
      },
      run: (tx) => lanes.take(tx),
      committed: (taken) => {
        for (const { lane, values } of taken) (say().deliveries ??= []).push([lane, values])
        if (lanes.hungry) hungry()
      },
      undone: (taken) => lanes.undo(taken),
    },
  })
  const substitute = createSubstitute({
    lease: o.lease,
    beat: writeBeat,
    onBlocked(worker, on) {
      const runs = lanes.block(worker, on)
      if (runs.length > 0) void giveBack(runs)
    },
  })

  /** Until it is written: nobody else would, as long as the worker lives. */
  async function giveBack(runs: readonly Run[]): Promise<void> {
    while (connection) {
      try {
        await commits.write(
          (tx) => runs.forEach((run) => writes.release(tx, { ...run, delay: 0, why: 'stop' })),
          runs.length,
        )
        return
      } catch (error) {
        hooks.log('warn', `Could not give back what had not begun: ${messageOf(error)} Trying again.`, {})
        await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_ERROR).unref())
      }
    }
  }

  const storage = createStorage({ db, path: o.path, commits, log: hooks.log })
  const signals = createFileSignals(
    () => o.path,
    () => {
      lanes.wake()
      signal('work')
      signal('done')
    },
  )

  /**
   * A transaction of its own for what lanes may take, unless one is coming anyway. A power cut may take it, until the next beat:
   * it ends the worker as well, and the job waits as if nobody had taken it.
   */
  let coming = false
  function hungry(): void {
    if (coming || !connection || commits.inside) return
    coming = true
    commits
      .write(() => (coming = false), 0, 'soon')
      .catch((error: unknown) => {
        coming = false
        hooks.log('warn', `Could not take jobs: ${messageOf(error)} Trying again.`, {})
      })
  }

  const control = {
    async open() {
      connection = await openDatabase(o, engine(), t)
      return null
    },
    setup: () => setupOn(db(), t, o),
    ping: async () => void db().get('SELECT 1 AS yes'),
    async openLane(args: { lane: number; queue: string; worker: string; cells: Cells }) {
      checkHandsOver(db(), t, o)
      lanes.open(args)
      watch()
    },
    async closeLane(lane: number) {
      lanes.close(lane)
      watch()
    },
    /** A consumer of another broker holds its jobs here, or not any more. */
    async hold(on: boolean) {
      holders += on ? 1 : -1
      watch()
    },
    async listen(on: boolean) {
      listening = on
      watch()
    },
    async close() {
      lanes.end()
      substitute.end()
      signals.watch(false)
      storage.watch(false)
      await commits.close()
      connection?.close()
      connection = undefined
    },
  }
  const watch = () => {
    signals.watch(listening || lanes.size > 0)
    storage.watch(lanes.size + holders > 0)
  }

  async function call([n, verb, args, rows]: Call): Promise<void> {
    try {
      if (verb in reads) return answer(n, read(verb as keyof Reads, args))
      if (verb in writes) {
        if (verb === 'beat') return answer(n, await beat(args as BeatArgs))
        if (verb === 'leave') substitute.forget((args as { worker: string }).worker)
        // A job that is not known to be with its broker is handed over once more.
        const durable = verb === 'handed' ? 'soon' : 'now'
        return answer(n, await commits.write((tx) => writes[verb as keyof Writes](tx, args as never), rows, durable))
      }
      answer(n, await control[verb as keyof typeof control](args as never))
    } catch (error) {
      fail(n, error)
    }
  }

  function beat(args: BeatArgs) {
    const written = substitute.heard(args)
    return writeBeat(args).finally(written)
  }

  async function writeBeat(args: BeatArgs) {
    const info = { ...args.info, lockWaits: commits.lockWaits() }
    try {
      return await commits.write((tx) => writes.beat(tx, { ...args, info }), 1, 'beat')
    } catch (error) {
      // It has looked at the others, but nobody could see it beat, nor it them: that was a gap.
      watches.delete(args.worker)
      throw error
    }
  }

  function read(verb: keyof Reads, args: unknown): unknown {
    try {
      return reads[verb](db(), args as never)
    } catch (error) {
      throw translate(error, o.file)
    }
  }

  async function settle(turn: number, acks: readonly SqlValue[]): Promise<void> {
    try {
      const lost = await commits.write((tx) => writes.acks(tx, acks), acks.length / ACK)
      ;(say().acked ??= []).push([turn, lost])
    } catch (error) {
      ;(say().acked ??= []).push([turn, [], error])
    }
  }

  return {
    receive(turn) {
      for (const [lane, allowed, suspectsEnded] of turn.credits) lanes.credit(lane, allowed, suspectsEnded)
      if (turn.acks.length > 0) void settle(turn.n, turn.acks)
      for (const one of turn.calls) void call(one)
    },
  }
}
