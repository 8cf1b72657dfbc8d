// One database file under test, with the processes on it, the effects they write, and the faults they suffer.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, defineTask, unchecked } from 'millrace'
import type { JobRecord, WorkerInfo } from 'millrace/driver'
import { optionsFromUrl, sqlite } from 'millrace/sqlite'
import type { Effect, Fault } from './ledger.js'
import { startProgram, stopAll, type Proc } from './processes.js'
import { tailOf } from './tail.js'
import { SLACK, verdictOf, type Verdict } from './verdict.js'
import { monotonic, until } from './wait.js'

export interface SiteOptions {
  /** Milliseconds; left out, the default of 15 s. */
  readonly lease?: number
  /** `false`: the connection on the main thread. */
  readonly thread?: false
  readonly maxCrashes?: number
  /** Folder for the database file, when it is not to lie beside the effects. */
  readonly disk?: (folder: string) => string
  /** URL of a broker that moves the jobs, the file being its store. */
  readonly broker?: string
}

/** The lease that a file has unless it is told otherwise. */
export const DEFAULT_LEASE = 15_000

export interface Input {
  readonly kind: 'ok' | 'fail' | 'fail-once' | 'poison' | 'block' | 'forever' | 'hang'
  readonly ms?: number
}

/** How Node itself is started. */
export interface NodeOptions {
  readonly node?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

export interface Site {
  readonly folder: string
  readonly file: string
  readonly lease: number
  /** A worker of programs/crew-worker.mjs, with these options of it. */
  worker(own?: object, more?: NodeOptions): Proc
  /** A producer of programs/crew-producer.mjs, with these options of it. */
  producer(own?: object, more?: NodeOptions): Proc
  program(program: string): Proc
  /** Enqueue jobs ourselves; answers their ids. */
  enqueue(inputs: readonly Input[], task?: 'work' | 'hang'): Promise<string[]>
  /** What a process has in its hands by what the store says. */
  handsOf(proc: Proc): Promise<readonly { readonly id: string; readonly run: number }[]>
  /** kill -9, and note what was in hand. `also`: what was in hand a moment before. */
  kill(proc: Proc, also?: Fault['hands']): Promise<Fault>
  /** It has died by itself: note what was in hand. */
  died(proc: Proc): Promise<Fault>
  /** SIGSTOP, and note what is in hand. */
  freeze(proc: Proc): Promise<Fault>
  /** It stands still already: note what is in hand, that others may take after `extra` ms and a lease. */
  noteFrozen(proc: Proc, extra?: number): Promise<Fault>
  /** The link to the broker was cut from then until then: what was lost before comes back so much later. */
  cut(o: { readonly from: number; readonly to: number }): void
  /** Enqueues that a killed producer had under way at most. */
  mayBeUnnamed(jobs: number): void
  /** Read everything that was written so far. */
  effects(): Effect[]
  jobs(ids: readonly string[]): Promise<readonly JobRecord[]>
  /** Every job there is. */
  records(): Promise<readonly JobRecord[]>
  /** Id of the worker that makes the ticks of schedules. */
  scheduler(): Promise<string | undefined>
  workers(): Promise<readonly (WorkerInfo & { readonly worker: string })[]>
  /** Lines of all processes' logs that match. */
  logged(pattern: RegExp): readonly string[]
  /**
   * Stop the producers, wait until no job is left, stop the workers, and judge.
   * @param ms how long the jobs may take
   */
  finish(ms?: number): Promise<Verdict>
  /** End every process and our own connection. */
  close(): Promise<void>
  /** Remove its folder, unless it is to be looked at. */
  forget(keep: boolean): void
}

/** The tasks of programs/tasks.mjs. */
const tasks = {
  work: defineTask('work', { input: unchecked<Input>() }),
  hang: defineTask('hang', { input: unchecked<Input>() }),
}
/** Longer than any clock here jumps. */
const KEPT = { completed: '3650d', dead: '3650d' } as const
const PAGE = 1000
let started = 0

export async function openSite(name: string, options: SiteOptions = {}): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), `millrace-chaos-${name}-`))
  const lease = options.lease ?? DEFAULT_LEASE
  const file = join(options.disk?.(folder) ?? folder, 'jobs.db')
  const query = [
    `lease=${lease}ms`,
    ...(options.thread === false ? ['thread=false'] : []),
    ...(options.maxCrashes === undefined ? [] : [`maxCrashes=${options.maxCrashes}`]),
  ]
  const url = `sqlite:${file}?${query.join('&')}`
  const effectsFile = join(folder, 'effects')
  const logs = join(folder, 'logs')
  mkdirSync(logs)
  writeFileSync(effectsFile, '')
  const { broker } = options
  const driver = sqlite(optionsFromUrl(url))
  const log = (line: object | string, text?: string) =>
    appendFileSync(join(logs, 'runner.log'), `${text ?? ''} ${JSON.stringify(line)}\n`)
  const client = await connect(broker === undefined ? driver : { broker, store: driver }, {
    log: { debug() {}, info() {}, warn: log, error: log },
    retention: KEPT,
  })
  const faults: Fault[] = []
  const workers: Proc[] = []
  const producers: Proc[] = []
  const others: Proc[] = []
  const mine: Effect[] = []
  const cuts: { from: number; to: number }[] = []
  let unnamed = 0

  function start(list: Proc[], program: string, settings: object, more: NodeOptions = {}) {
    const kind = program.replace(/^crew-|\.mjs$/g, '')
    const proc = startProgram({
      program,
      name: `${kind}-${++started}`,
      options: { url, file, effects: effectsFile, ...(broker !== undefined && { broker, takes: true }), ...settings },
      log: join(logs, `${kind}-${started}.log`),
      ...more,
    })
    list.push(proc)
    return proc
  }

  async function handsOf({ pid }: Proc) {
    const ids = (await driver.workers.list()).filter((info) => info.pid === pid).map(({ worker }) => worker)
    if (ids.length === 0) return []
    const { jobs } = await driver.jobs.list({ states: ['active'], limit: PAGE })
    return jobs
      .filter(({ worker }) => worker !== undefined && ids.includes(worker))
      .map(({ envelope, run }) => ({ id: envelope.id, run }))
  }

  async function note(
    kind: Fault['kind'],
    proc: Proc,
    at: number,
    o: { also?: Fault['hands'] | undefined; extra?: number | undefined } = {},
  ): Promise<Fault> {
    const hands = await handsOf(proc)
    const before = (o.also ?? []).filter((one) => !hands.some(({ id, run }) => id === one.id && run === one.run))
    const fault = { kind, process: proc.name, at, lease: lease + (o.extra ?? 0), hands: [...hands, ...before] }
    faults.push(fault)
    return fault
  }

  async function records(): Promise<readonly JobRecord[]> {
    const all: JobRecord[] = []
    for (let cursor: string | undefined; ;) {
      const page = await driver.jobs.list({ limit: PAGE, ...(cursor !== undefined && { cursor }) })
      all.push(...page.jobs)
      if ((cursor = page.cursor) === undefined) return all
    }
  }

  const written = tailOf(effectsFile)
  const effects = () => [...written(), ...mine]
  const open = async () => (await driver.jobs.count({ states: ['scheduled', 'ready', 'active'] })) > 0

  async function intact(): Promise<string[]> {
    const check = start(others, 'integrity.mjs', {})
    await check.ended
    const says = check.output().trim()
    return says === 'ok' ? [] : [`the file is damaged: ${says || 'the check itself failed'}`]
  }

  return {
    folder,
    file,
    lease,
    worker: (own = {}, more = {}) => start(workers, 'crew-worker.mjs', { concurrency: 5, ...own }, more),
    producer: (own = {}, more = {}) => start(producers, 'crew-producer.mjs', own, more),
    program: (program) => start(others, program, {}),
    handsOf,
    async enqueue(inputs, task = 'work') {
      const jobs = await client.enqueueMany(tasks[task], inputs)
      for (const [i, { id }] of jobs.entries())
        mine.push({
          verb: 'named',
          outcome: inputs[i]!.kind,
          id,
          run: 0,
          attempt: 0,
          process: 'runner',
          at: monotonic(),
        })
      return jobs.map(({ id }) => id)
    },
    async kill(proc, also) {
      const at = monotonic()
      proc.signal('SIGKILL')
      await proc.ended
      return note('kill', proc, at, { also })
    },
    died: (proc) => note('kill', proc, monotonic()),
    async freeze(proc) {
      const at = monotonic()
      proc.signal('SIGSTOP')
      return note('freeze', proc, at)
    },
    noteFrozen: (proc, extra) => note('freeze', proc, monotonic(), { extra }),
    cut: (o) => void cuts.push(o),
    mayBeUnnamed: (jobs) => void (unnamed += jobs),
    effects,
    jobs: (ids) => driver.jobs.get({ ids }),
    records,
    scheduler: async () => (await driver.state.get({ key: 'scheduler' }))?.value,
    workers: () => driver.workers.list(),
    logged: (pattern) =>
      readdirSync(logs).flatMap((one) =>
        readFileSync(join(logs, one), 'utf8')
          .split('\n')
          .filter((line) => pattern.test(line)),
      ),
    async finish(ms = 3 * lease + 30_000) {
      const violations = await stopAll(producers)
      if (!(await until(async () => !(await open()), ms, 50))) violations.push(`jobs were left after ${ms / 1000} s`)
      violations.push(...(await stopAll(workers)), ...(await intact()))
      const all = faults.map((fault) => ({ ...fault, lease: fault.lease + awayAfter(fault, cuts) }))
      return verdictOf({ effects: effects(), records: await records(), faults: all, unnamed, violations })
    },
    async close() {
      const all = [...workers, ...producers, ...others].filter((proc) => proc.running)
      for (const proc of all) proc.signal('SIGKILL')
      await Promise.all(all.map((proc) => proc.ended))
      await client.close()
    },
    forget(keep) {
      if (!keep) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** How long the broker was away, and being found again, while the jobs of a fault should have come back. */
function awayAfter({ at, lease }: Fault, cuts: readonly { from: number; to: number }[]): number {
  return cuts
    .filter(({ from, to }) => to + SLACK > at && from < at + lease + SLACK)
    .reduce((sum, { from, to }) => sum + to + SLACK - from, 0)
}
