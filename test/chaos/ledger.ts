// The arithmetic of chaos: from what handlers did, what producers were told and what the store says, to what was broken.
// Pure, so that it can be tried on histories that are wrong.

/** One line of the effects file. `at` is monotonic milliseconds, the same clock in every process. */
export interface Effect {
  readonly verb:
    'take' | 'begin' | 'end' | 'throw' | 'lost' | 'ack' | 'retry' | 'dead' | 'release' | 'named' | 'refused'
  /**
   * Of a settling verb: `ok`, `lost` (refused: the run no longer owned the job) or `error`. Of `refused`: code/outcome. Of
   * `named`: the kind of the job.
   */
  readonly outcome: string
  readonly id: string
  readonly run: number
  /** Of `named` and `refused`: how many milliseconds the answer took. */
  readonly attempt: number
  readonly process: string
  readonly at: number
}

/** A job as the store has it at the end. */
export interface Row {
  readonly id: string
  readonly state: string
  readonly reason?: string | undefined
  readonly run: number
  readonly attempt: number
  readonly crashes: number
}

/** A process that was killed or frozen, when, and what was in its hands by what the store said. */
export interface Fault {
  readonly kind: 'kill' | 'freeze'
  readonly process: string
  readonly at: number
  /** Milliseconds. */
  readonly lease: number
  readonly hands: readonly { readonly id: string; readonly run: number }[]
}

export interface History {
  readonly effects: readonly Effect[]
  readonly rows: readonly Row[]
  readonly faults: readonly Fault[]
  /** Enqueues that killed producers had under way at most: their jobs may be there without having been named. */
  readonly unnamed: number
}

export interface Figures {
  readonly jobs: number
  readonly completed: number
  readonly dead: number
  readonly cancelled: number
  /** Of the dead: those that were in hand at so many deaths that they count as poison. */
  readonly crashed: number
  /** Handlers that began again without an attempt being spent. */
  readonly redone: number
  /** Jobs in the hands of processes that were killed or frozen, counted each time. */
  readonly inHand: number
  /** Settles by runs that no longer owned their job; each was refused. */
  readonly refusedSettles: number
}

export const SETTLING: readonly string[] = ['ack', 'retry', 'dead', 'release']
const ENDED = ['completed', 'dead', 'cancelled']
/** How a job of each kind may end; see programs/crew-worker.mjs. */
const ENDS: Readonly<Record<string, readonly string[]>> = {
  ok: ['completed'],
  'fail-once': ['completed'],
  block: ['completed'],
  fail: ['dead/failed'],
  hang: ['dead/failed'],
  poison: ['dead/crashed'],
  forever: ['dead/crashed'],
  cancel: ['cancelled', 'completed'], // it may have been done by then
}

/** How a job of this kind may end; `undefined` for a kind that nobody knows. */
export const endsOf = (kind = ''): readonly string[] | undefined => ENDS[kind]

/** A run heard that it no longer owns its job. */
const wasLost = ({ verb, outcome }: Pick<Effect, 'verb' | 'outcome'>) => verb === 'lost' || outcome === 'lost'

export function parseEffects(text: string): Effect[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [verb, outcome = '', id = '', run, attempt, process = '', , at] = line.split(' ')
      return {
        verb: verb as Effect['verb'],
        outcome,
        id,
        run: Number(run),
        attempt: Number(attempt),
        process,
        at: Number(at),
      }
    })
}

/** What must hold after any fault. Answers what does not, each with the jobs' ids, and the figures. */
export function judge(history: History): { readonly violations: readonly string[]; readonly figures: Figures } {
  const { rows, faults } = history
  const byId = new Map(rows.map((row) => [row.id, row]))
  const effects = groupById(history.effects)
  const inHand = new Map<string, number>()
  for (const { hands } of faults) for (const { id } of hands) inHand.set(id, (inHand.get(id) ?? 0) + 1)
  const killed = new Set(faults.filter(({ kind }) => kind === 'kill').map((fault) => fault.process))
  const atFault = new Set(faults.map((fault) => fault.process))
  const found = createFindings()
  let redone = 0
  let refusedSettles = 0
  let unnamed = 0

  for (const [id, own] of effects) {
    const row = byId.get(id)
    if (!row) {
      if (own.some(({ verb }) => verb === 'named')) found.add('named by a resolved enqueue, but not in the store', id)
      else if (own.some(({ verb }) => verb === 'begin')) found.add('ran, but is not in the store', id)
    } else if (own.some(({ verb, outcome }) => verb === 'refused' && outcome.endsWith('/not-sent')))
      found.add('in the store although its enqueue said not-sent', id)
  }
  for (const row of rows) {
    const { id } = row
    const own = effects.get(id) ?? []
    const ok = own.filter((one) => SETTLING.includes(one.verb) && one.outcome === 'ok')
    const ends = ok.filter(({ verb }) => verb === 'ack' || verb === 'dead')
    const begins = own.filter(({ verb }) => verb === 'begin')
    // An enqueue that was answered with "unknown" has said that its job may be there.
    const told = own.some(
      ({ verb, outcome }) => verb === 'named' || (verb === 'refused' && outcome.endsWith('/unknown')),
    )
    if (!told) unnamed += 1
    const kind = own.find(({ verb }) => verb === 'named')?.outcome ?? ''
    const end = row.state === 'dead' ? `dead/${row.reason}` : row.state
    // Whoever is unlucky enough dies as a suspect; whether its crashes are real is looked at below.
    const unlucky = end === 'dead/crashed' && row.crashes > 0
    if (ENDED.includes(row.state) && !(endsOf(kind)?.includes(end) ?? true) && !unlucky)
      found.add(`ended as ${end}, being of the kind "${kind}"`, id)
    if (!ENDED.includes(row.state)) found.add(`not finished (${row.state})`, id)
    if (ends.length > 1) found.add('ended twice', id)
    if (new Set(ok.map(({ run }) => run)).size < ok.length) found.add('settled twice by one run', id)
    if (ends.some(({ run }) => run !== row.run)) found.add('ended by a run that did not own it', id)
    if (row.state === 'completed') {
      const ended = own.some(({ verb, run }) => verb === 'end' && run === row.run)
      if (!ended) found.add('completed, but the handler of its last run did not end', id)
      // A process that is killed right after its commit could not write the line any more.
      const bySomebodyKilled = begins.some((one) => one.run === row.run && killed.has(one.process))
      if (ends.length === 0 && !bySomebodyKilled) found.add('completed, but nobody has written its end', id)
      const failures = own.filter(({ verb, outcome }) => verb === 'throw' || (verb === 'retry' && outcome === 'ok'))
      const spent = new Set(failures.map(({ attempt }) => attempt)).size
      if (row.attempt > 1 + spent) found.add('spent an attempt without a failure', id)
    }
    const times = inHand.get(id) ?? 0
    const lost = new Set(own.filter(wasLost).map(({ run }) => run)).size
    const again = repeats(begins, ok)
    redone += again
    const taken = Math.max(times, lost)
    if (again > taken) found.add('ran again although no killed or frozen process had it in hand', id)
    // The first death makes it a suspect; only the next ones are counted.
    if (row.crashes > Math.max(0, taken - 1)) found.add('has more crashes counted than it saw', id)
  }
  for (const { verb, outcome, id, process } of history.effects) {
    if (SETTLING.includes(verb) && outcome === 'lost') refusedSettles += 1
    if (wasLost({ verb, outcome }) && !atFault.has(process)) found.add('taken from a worker that lived', id)
  }
  if (unnamed > history.unnamed)
    found.say(`${unnamed} jobs are in the store that no enqueue has named; at most ${history.unnamed} were under way`)

  const count = (state: string) => rows.filter((row) => row.state === state).length
  const figures = {
    jobs: rows.length,
    completed: count('completed'),
    dead: count('dead'),
    cancelled: count('cancelled'),
    crashed: rows.filter(({ reason }) => reason === 'crashed').length,
    redone,
    inHand: faults.reduce((sum, { hands }) => sum + hands.length, 0),
    refusedSettles,
  }
  return { violations: found.list(), figures }
}

/** Begins that neither a spent attempt nor a release explains. */
function repeats(begins: readonly Effect[], ok: readonly Effect[]): number {
  const perAttempt = new Map<number, number>()
  for (const { attempt } of begins) perAttempt.set(attempt, (perAttempt.get(attempt) ?? 0) + 1)
  let again = 0
  for (const [attempt, times] of perAttempt) {
    const begun = new Set(begins.filter((one) => one.attempt === attempt).map(({ run }) => run))
    const released = ok.filter(({ verb, run }) => verb === 'release' && begun.has(run)).length
    again += Math.max(0, times - 1 - released)
  }
  return again
}

export function groupById(effects: readonly Effect[]): Map<string, Effect[]> {
  const groups = new Map<string, Effect[]>()
  for (const effect of effects) {
    const group = groups.get(effect.id)
    if (group) group.push(effect)
    else groups.set(effect.id, [effect])
  }
  return groups
}

/** Collects what is broken: one line for each kind, with the first few jobs. */
export function createFindings() {
  const SHOWN = 5
  const jobs = new Map<string, Set<string>>()
  const texts: string[] = []
  return {
    add(what: string, id: string) {
      jobs.set(what, (jobs.get(what) ?? new Set()).add(id))
    },
    say: (text: string) => void texts.push(text),
    list: () => [
      ...Array.from(jobs, ([what, ids]) => {
        const more = ids.size > SHOWN ? ` and ${ids.size - SHOWN} more` : ''
        return `${ids.size} ${ids.size === 1 ? 'job' : 'jobs'} ${what}: ${[...ids].slice(0, SHOWN).join(', ')}${more}`
      }),
      ...texts,
    ],
  }
}
