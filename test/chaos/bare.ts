// The arithmetic of chaos for a broker without a store: it promises at least once, so a job may be done twice, and never not
// at all. Jobs are counted by their distinct ids: published = completed + dead. Pure, as ledger.ts is.
import { createFindings, endsOf, groupById, SETTLING, type Effect } from './ledger.js'

/** From when until when a fault lasted: for a kill the same moment. */
export interface BareFault {
  /** The process that was killed; left out when the link of everybody was cut. */
  readonly process?: string
  readonly from: number
  readonly to: number
}

export interface DeadLetter {
  readonly id: string
  readonly reason: string
}

export interface BareHistory {
  readonly effects: readonly Effect[]
  /** What lies among the dead letters, also twice. */
  readonly letters: readonly DeadLetter[]
  readonly faults: readonly BareFault[]
  /** Enqueues that killed producers had under way at most: their jobs may be there without having been named. */
  readonly unnamed: number
  readonly maxCrashes: number
}

export interface BareFigures {
  /** Distinct jobs that an enqueue has named, or that ran without. */
  readonly jobs: number
  readonly completed: number
  readonly dead: number
  /** Handlers that began again without an attempt being spent. */
  readonly redone: number
  /** Jobs that completed and still have a letter among the dead, or have two: a copy whose original was not taken away. */
  readonly doubles: number
}

/** How long after a fault its consequences may still be noticed, in milliseconds. */
const AFTERMATH = 15_000

/** What must hold after any fault. Answers what does not, each with the jobs' ids, and the figures. */
export function judgeBare(history: BareHistory): {
  readonly violations: readonly string[]
  readonly figures: BareFigures
} {
  const { faults, maxCrashes } = history
  const killed = new Set(faults.flatMap(({ process }) => process ?? []))
  const effects = groupById(history.effects)
  const letters = new Map<string, DeadLetter[]>()
  for (const letter of history.letters) letters.set(letter.id, [...(letters.get(letter.id) ?? []), letter])
  const found = createFindings()
  const figures = { jobs: 0, completed: 0, dead: 0, redone: 0, doubles: 0 }
  let unnamed = 0

  for (const id of new Set([...effects.keys(), ...letters.keys()])) {
    if (id === '-') continue // a refusal that names no job
    const own = effects.get(id) ?? []
    const dead = letters.get(id) ?? []
    const begins = own.filter(({ verb }) => verb === 'begin')
    const name = own.find(({ verb }) => verb === 'named')
    const refusal = own.find(({ verb }) => verb === 'refused')
    const there = begins.length > 0 || dead.length > 0
    if (refusal?.outcome.endsWith('/not-sent') && there) found.add('ran although its enqueue said not-sent', id)
    if (!name && !there) continue // refused, or never heard of again, which is allowed to who was told so
    if (!name && !refusal) unnamed += 1
    figures.jobs += 1

    const completed = own.some((one) => one.verb === 'end' && wasSettled(one, own, killed))
    if (completed) figures.completed += 1
    else if (dead.length > 0) figures.dead += 1
    else if (name) found.add('named by a resolved enqueue, but neither completed nor dead', id)
    if (dead.length + (completed ? 1 : 0) > 1) figures.doubles += 1

    const ends = [...(completed ? ['completed'] : []), ...dead.map(({ reason }) => `dead/${reason}`)]
    // Whoever is unlucky enough dies as a suspect, but only after as many deaths as poison is allowed.
    const unlucky = begins.length > maxCrashes
    for (const end of new Set(ends))
      if (!(endsOf(name?.outcome)?.includes(end) ?? true) && !(end === 'dead/crashed' && unlucky))
        found.add(`ended as ${end}, being of the kind "${name!.outcome}"`, id)

    const hit = (until: number) => faults.some(({ from, to }) => from <= until && to >= (own[0]?.at ?? 0) - AFTERMATH)
    const again = repeats(begins, own)
    figures.redone += again
    if (again > 0 && !hit(begins.at(-1)!.at)) found.add('ran again although nothing was killed and no link cut', id)
    if (dead.length > 1 && !hit(Infinity)) found.add('is dead twice although nothing was killed and no link cut', id)
    const failures = own.filter(({ verb, outcome }) => verb === 'throw' || (verb === 'retry' && outcome === 'ok'))
    const spent = new Set(failures.map(({ attempt }) => attempt)).size
    if (Math.max(0, ...begins.map(({ attempt }) => attempt)) > 1 + spent)
      found.add('spent an attempt without a failure', id)
    for (const { verb, outcome, at, process } of own) {
      const lost = verb === 'lost' || (SETTLING.includes(verb) && outcome === 'lost')
      const cut = faults.some((one) => one.process === undefined && one.from <= at && at <= one.to + AFTERMATH)
      if (lost && !cut && !killed.has(process)) found.add('taken from a worker that lived and whose link was up', id)
    }
  }
  if (unnamed > history.unnamed)
    found.say(`${unnamed} jobs ran that no enqueue has named; at most ${history.unnamed} were under way`)
  return { violations: found.list(), figures }
}

/**
 * A handler's end counts when it was settled. Who was killed could not write that any more, and whoever's link was cut does
 * not know whether the broker has heard of it; if it has not, the job runs again.
 */
function wasSettled(end: Effect, own: readonly Effect[], killed: ReadonlySet<string>): boolean {
  return (
    killed.has(end.process) ||
    own.some(({ verb, process, attempt }) => verb === 'ack' && process === end.process && attempt === end.attempt)
  )
}

/** Begins that neither a spent attempt nor a release explains. */
function repeats(begins: readonly Effect[], own: readonly Effect[]): number {
  const attempts = new Set(begins.map(({ attempt }) => attempt)).size
  const released = own.filter(({ verb, outcome }) => verb === 'release' && outcome === 'ok').length
  return Math.max(0, begins.length - attempts - released)
}
