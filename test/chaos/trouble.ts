// Trouble on RabbitMQ: workers killed, the broker stopped and started, connections closed by it; and how soon every worker
// that lives handles jobs again.
import { setTimeout as sleep } from 'node:timers/promises'
import type { RabbitmqNode } from '../support/rabbitmq-node.js'
import type { Effect } from './ledger.js'
import type { Proc } from './processes.js'
import type { Random } from './random.js'
import { percentile } from './recovery.js'
import type { Amount, Values } from './scenario.js'
import { monotonic, until } from './wait.js'

/** What troubled processes live on: a broker alone, or with a store. */
export interface Place {
  worker(own?: object): Proc
  producer(own?: object): Proc
  kill(proc: Proc): Promise<unknown>
  cut(o: { readonly from: number; readonly to: number }): void
  mayBeUnnamed(jobs: number): void
  effects(): readonly Effect[]
}

export interface TroubleOptions {
  readonly node: RabbitmqNode
  readonly place: Place
  readonly random: Random
  readonly seconds: number
  readonly amount: Amount
  /** kill -9 of the broker itself, started again at once. */
  readonly powerCuts?: number
  /** Of workers, and of producers if given: one death every so many milliseconds. */
  readonly every: number
  readonly killsProducers?: boolean
  /** One worker more, which is never killed: with a long lease the others do not live long enough to see a death. */
  readonly spared?: boolean
  /** Which of a hundred jobs are of which kind. */
  readonly kinds: Readonly<Record<string, number>>
}

export interface Troubled {
  readonly figures: Values
  readonly violations: readonly string[]
}

type Cut = 'stop' | 'close' | 'power'

interface Slot {
  proc: Proc
  readonly start: () => Proc
  readonly producer: boolean
  /** Before that it is not killed: a worker that has not begun to work yet proves nothing. */
  ready: boolean
}

const WORKERS = 3
const PRODUCERS = 2
const LANES = 8
/** Within this, each worker handles jobs again: P19. */
const BACK = 5_000

/** Make trouble until the amount and the time are reached, whichever is later. Leaves workers and producers running. */
export async function trouble(o: TroubleOptions): Promise<Troubled> {
  const { node, place, random, amount } = o
  const violations: string[] = []
  const back: Record<Cut, number[]> = { stop: [], close: [], power: [] }
  let kills = 0
  let over = false
  /** Nobody is killed while it is measured who works again; while the broker is away, only one of them. */
  let calm: Promise<void> = Promise.resolve()
  let away = false

  const slot = (start: () => Proc, producer: boolean): Slot => {
    const one = { proc: start(), start, producer, ready: false }
    void awaitReady(one)
    return one
  }
  const awaitReady = async (one: Slot) => {
    one.ready = false
    const { proc } = one
    await proc.ready.then(
      () => (one.ready = one.proc === proc),
      () => {}, // killed before
    )
  }
  const workers = Array.from({ length: WORKERS }, () => slot(() => place.worker(), false))
  const spared = o.spared === true ? [slot(() => place.worker(), false)] : []
  const load = { lanes: LANES, most: 300, ms: 60, kinds: o.kinds }
  const producers = Array.from({ length: PRODUCERS }, () => slot(() => place.producer(load), true))
  await Promise.all([...workers, ...spared, ...producers].map(({ proc }) => proc.ready))
  const since = monotonic()

  async function killing(): Promise<void> {
    for (let next = since + o.every; !over; next = Math.max(next + o.every, monotonic())) {
      while (!over && monotonic() < next) await sleep(Math.min(200, Math.max(1, next - monotonic())))
      await calm
      const all = o.killsProducers === true ? [...workers, ...producers] : workers
      const ready = (away ? workers.slice(0, 1) : all).filter((one) => one.ready)
      if (over || ready.length === 0) continue
      const victim = random.pick(ready)
      await place.kill(victim.proc)
      victim.proc = victim.start()
      void awaitReady(victim)
      if (victim.producer) place.mayBeUnnamed(LANES)
      kills += 1
    }
  }

  async function cut(kind: Cut): Promise<void> {
    let done = () => {}
    const quiet = new Promise<void>((resolve) => (done = resolve))
    away = true
    // Those that are still dialling for the first time are no workers yet.
    await until(() => workers.slice(1).every((one) => one.ready), 30_000)
    const from = monotonic()
    if (kind === 'stop') {
      await node.stopApp()
      await sleep(random.between(0, 2_000))
      calm = quiet
      await node.startApp()
    } else if (kind === 'close') {
      calm = quiet
      await node.closeConnections()
    } else {
      calm = quiet
      await node.kill()
      await node.start()
    }
    const at = monotonic()
    place.cut({ from, to: at })
    const living = [...workers, ...spared].filter((one) => one.ready && one.proc.running).map(({ proc }) => proc.name)
    const resumed = () => resumedAfter(place.effects(), at, living)
    await until(() => resumed().size === living.length, BACK + 10_000, 50)
    for (const name of living) {
      const ms = resumed().get(name)
      back[kind].push(ms ?? Infinity)
      if (ms === undefined) violations.push(`${name} handled nothing for ${(BACK + 10_000) / 1000} s after a ${kind}`)
      else if (ms > BACK) violations.push(`${name} handled its next job ${Math.round(ms)} ms after a ${kind}`)
    }
    if (living.length === 0) violations.push(`no worker lived through a ${kind}: nothing was tested`)
    away = false
    done()
  }

  const killer = killing()
  const named = () => place.effects().filter(({ verb }) => verb === 'named').length
  const cuts: Cut[] = [
    ...Array.from({ length: amount.stops }, () => 'stop' as const),
    ...Array.from({ length: amount.closes }, () => 'close' as const),
    ...Array.from({ length: o.powerCuts ?? 0 }, () => 'power' as const),
  ]
  for (const kind of random.shuffle(cuts)) {
    await sleep(random.between(1_000, 3_000))
    await cut(kind)
  }
  const enough = () => named() >= amount.jobs && kills >= amount.kills && monotonic() - since >= o.seconds * 1000
  // 20 jobs and a third of a kill each second is far less than any machine manages.
  const patience = 60 + amount.jobs / 20 + amount.kills * 3 + o.seconds
  if (!(await until(enough, patience * 1000, 200)))
    violations.push(`only ${named()} jobs and ${kills} kills in ${Math.round(patience)} s`)
  over = true
  await killer
  return {
    violations,
    figures: {
      kills,
      ...Object.fromEntries(cuts.map((kind) => [WORDS[kind], cuts.filter((one) => one === kind).length])),
      ...Object.fromEntries((['stop', 'close', 'power'] as const).flatMap((kind) => figuresOf(kind, back[kind]))),
    },
  }
}

const WORDS: Readonly<Record<Cut, string>> = {
  stop: 'stop_app and start_app',
  close: 'closing all connections',
  power: 'kill -9 of the broker',
}

function figuresOf(kind: Cut, ms: readonly number[]): [string, number | string][] {
  if (ms.length === 0) return []
  const [half, all] = [percentile(ms, 0.5), Math.max(...ms)].map(Math.round)
  return [[`working again after ${WORDS[kind]}, ms`, `p50 ${half}, max ${all} of ${ms.length}`]]
}

/**
 * When each of the workers has begun a job that it was given after `at`: milliseconds after it. What it had in its hands
 * before says nothing of its link.
 */
export function resumedAfter(effects: readonly Effect[], at: number, workers: readonly string[]): Map<string, number> {
  const given = new Set<string>()
  const resumed = new Map<string, number>()
  for (const { verb, id, process, at: then } of effects) {
    if (then < at || !workers.includes(process)) continue
    if (verb === 'take') given.add(`${process} ${id}`)
    else if (verb === 'begin' && !resumed.has(process) && given.has(`${process} ${id}`)) resumed.set(process, then - at)
  }
  return resumed
}
