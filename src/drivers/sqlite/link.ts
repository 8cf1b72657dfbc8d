// The front's way to the half that holds the connection: gathers what one turn of the event loop asks for, sends it as one
// message, and gives each answer to who asked.
import { BrokerUnavailableError, ClientClosedError } from '../../core/errors.js'
import type { ConnectOptions } from '../../driver/driver.js'
import type { SqlValue } from './engine.js'
import type { Cells } from './slots.js'
import type { ArgsOf, Reads, ReadVerb, ValueOf, Writes, WriteVerb } from './operations.js'
import type { Call, ControlVerb, Credit, Reply, Turn } from './protocol.js'

/** The other half, wherever it runs. */
export interface Carrier {
  send(turn: Turn): void
  /** Keep the process alive while an answer is awaited. */
  hold(on: boolean): void
  /** The other half has closed; end what carried it. */
  end(): Promise<void>
}

/** @param onLost the other half is gone without having been asked */
export type StartCarrier = (onReply: (reply: Reply) => void, onLost: (error: Error) => void) => Carrier

/** A consumer's end of a lane. */
export interface LaneEnd {
  delivered(values: SqlValue[]): void
  lost(error: Error): void
}

export interface Link {
  read<V extends ReadVerb>(verb: V, args: ArgsOf<Reads[V]>): Promise<ValueOf<Reads[V]>>
  /** Resolves once it is durable. @param rows about how many rows it writes */
  write<V extends WriteVerb>(verb: V, args: ArgsOf<Writes[V]>, rows?: number): Promise<ValueOf<Writes[V]>>
  /**
   * As `write`, but what one turn asks of this verb is one call, whose arguments are one flat array. `at`: the place in it
   * where these values begin.
   */
  gather<V extends GatheredVerb>(
    verb: V,
    values: readonly SqlValue[],
    rows: number,
  ): { readonly at: number; readonly done: Promise<ValueOf<Writes[V]>> }
  control(verb: ControlVerb, args: unknown): Promise<unknown>
  /** Settle one of many; whether the run still owned the job. */
  ack(seq: number, id: string, run: number, result: string | null): Promise<boolean>
  credit(lane: number, allowed: number, suspectsEnded: number): void
  openLane(end: LaneEnd, o: { queue: string; worker: string; cells: Cells }): Promise<number>
  closeLane(lane: number): Promise<void>
  /** Jobs of another broker are held from now on, until the answer is called. */
  hold(lost: (error: Error) => void): () => void
  onSignal(topic: 'work' | 'done', listener: () => void): () => void
  close(): Promise<void>
}

/** Verbs that take one flat array. */
export type GatheredVerb = { [V in WriteVerb]: readonly SqlValue[] extends ArgsOf<Writes[V]> ? V : never }[WriteVerb]

/** A call that grows until the turn is over. */
interface Gathered {
  readonly call: [n: number, verb: GatheredVerb, values: SqlValue[], rows: number]
  readonly done: Promise<never>
}

interface Waiting {
  resolve(value: never): void
  reject(error: unknown): void
}

export function createLink(start: StartCarrier, log: ConnectOptions['log']): Link {
  const calls = new Map<number, Waiting>()
  /** Acks by the turn that carried them. */
  const acks = new Map<number, Waiting[]>()
  const lanes = new Map<number, LaneEnd>()
  const holders = new Set<(error: Error) => void>()
  const listeners = { work: new Set<() => void>(), done: new Set<() => void>() }
  let lastCall = 0
  let lastLane = 0
  let n = 0
  let turn = emptyTurn()
  let sent = false
  let gone: Error | undefined
  let held = false
  const carrier = start(receive, lost)

  function emptyTurn() {
    return {
      credits: new Map<number, Credit>(),
      acks: [] as SqlValue[],
      waiting: [] as Waiting[],
      calls: [] as Call[],
      gathered: new Map<string, Gathered>(),
    }
  }

  /** The turn goes when everything that this turn of the event loop asks for has come in. */
  function soon(): void {
    if (sent) return
    sent = true
    setImmediate(flush)
  }

  function flush(): void {
    sent = false
    const now = turn
    turn = emptyTurn()
    n += 1
    if (now.waiting.length > 0) acks.set(n, now.waiting)
    if (gone) {
      // Asked for while the other half was closing, or after it was lost.
      for (const waiting of now.waiting) waiting.reject(afterEnd(gone))
      for (const [call] of now.calls) take(call)?.reject(afterEnd(gone))
      acks.delete(n)
    }
    hold()
    if (!gone) carrier.send({ n, credits: [...now.credits.values()], acks: now.acks, calls: now.calls })
  }

  function hold(): void {
    const on = calls.size > 0 || acks.size > 0
    if (on !== held) carrier.hold((held = on))
  }

  function receive(reply: Reply): void {
    for (const [lane, values] of reply.deliveries ?? []) lanes.get(lane)?.delivered(values)
    for (const [call, value] of reply.answers ?? []) take(call)?.resolve(value as never)
    for (const [call, error] of reply.failures ?? []) take(call)?.reject(error)
    for (const [sentTurn, lostAt, error] of reply.acked ?? []) settle(sentTurn, lostAt, error)
    for (const [level, message, fields] of reply.log ?? []) log(level, message, fields)
    for (const topic of reply.signals ?? []) for (const listener of listeners[topic]) listener()
    hold()
  }

  function take(call: number): Waiting | undefined {
    const waiting = calls.get(call)
    calls.delete(call)
    return waiting
  }

  function settle(sentTurn: number, lostAt: readonly number[], error: unknown): void {
    const waiting = acks.get(sentTurn) ?? []
    acks.delete(sentTurn)
    if (error !== undefined) for (const one of waiting) one.reject(error)
    else if (lostAt.length === 0) for (const one of waiting) one.resolve(true as never)
    else waiting.forEach((one, i) => one.resolve(!lostAt.includes(i) as never))
  }

  /** Nothing will be answered any more. */
  function lost(error: Error): void {
    if (gone) return
    gone = error
    // One for each: whoever gets it may write into it what it was about.
    const why = () => ended(error, 'unknown')
    for (const waiting of [...calls.values(), ...[...acks.values()].flat(), ...turn.waiting.splice(0)])
      waiting.reject(why())
    calls.clear()
    acks.clear()
    for (const end of lanes.values()) end.lost(why())
    lanes.clear()
    for (const holder of holders) holder(why())
    holders.clear()
  }

  function send(verb: Call[1], args: unknown, rows: number): Promise<never> {
    return ask([++lastCall, verb, args, rows])
  }

  function ask(call: Call): Promise<never> {
    if (gone) return Promise.reject(afterEnd(gone))
    return new Promise((resolve, reject) => {
      calls.set(call[0], { resolve, reject })
      turn.calls.push(call)
      soon()
    })
  }

  function gather(verb: GatheredVerb, values: readonly SqlValue[], rows: number) {
    if (gone) return { at: 0, done: Promise.reject(afterEnd(gone)) }
    let one = turn.gathered.get(verb)
    if (!one) {
      const call: Gathered['call'] = [++lastCall, verb, [], 0]
      turn.gathered.set(verb, (one = { call, done: ask(call) }))
    }
    const { call, done } = one
    const at = call[2].length
    for (const value of values) call[2].push(value)
    call[3] += rows
    return { at, done }
  }

  return {
    read: (verb, args) => send(verb, args, 0),
    write: (verb, args, rows = 1) => send(verb, args, rows),
    gather,
    control: (verb, args) => send(verb, args, 0),
    ack(seq, id, run, result) {
      if (gone) return Promise.reject(afterEnd(gone))
      return new Promise((resolve, reject) => {
        turn.acks.push(seq, id, run, result)
        turn.waiting.push({ resolve, reject })
        soon()
      })
    },
    credit(lane, allowed, suspectsEnded) {
      turn.credits.set(lane, [lane, allowed, suspectsEnded])
      soon()
    },
    async openLane(end, o) {
      const lane = ++lastLane
      lanes.set(lane, end)
      try {
        await send('openLane', { lane, ...o }, 0)
      } catch (error) {
        lanes.delete(lane)
        throw error
      }
      return lane
    },
    async closeLane(lane) {
      if (gone) return
      await send('closeLane', lane, 0) // what was on its way has arrived before the answer
      lanes.delete(lane)
    },
    hold(onLost) {
      const own = (error: Error) => onLost(error)
      const tell = (on: boolean) => void send('hold', on, 0).catch(() => {}) // it only says that the file is in use
      holders.add(own)
      tell(true)
      return () => {
        if (holders.delete(own)) tell(false)
      }
    },
    onSignal(topic, listener) {
      const own = () => listener()
      const listen = (on: boolean) => void send('listen', on, 0).catch(() => {}) // the listener polls, too
      if (listeners.work.size + listeners.done.size === 0) listen(true)
      listeners[topic].add(own)
      return () => {
        if (listeners[topic].delete(own) && listeners.work.size + listeners.done.size === 0) listen(false)
      }
    },
    async close() {
      if (gone) return
      await send('close', null, 0)
      gone = new ClientClosedError()
      await carrier.end()
    },
  }
}

/** For what is asked after the end, which was either asked for or a loss. */
const afterEnd = (gone: Error): Error => (gone instanceof ClientClosedError ? gone : ended(gone, 'not-sent'))

function ended(cause: Error, outcome: 'not-sent' | 'unknown'): BrokerUnavailableError {
  const message = `The connection to SQLite ended: ${cause.message}. Start this client anew.`
  return new BrokerUnavailableError(message, { outcome, cause })
}
