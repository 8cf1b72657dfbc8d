// One database file under test, with the processes on it, the effects they write, and the faults they suffer.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, defineTask, unchecked } from 'millrace'
import type { JobRecord, WorkerInfo } from 'millrace/driver'
import { optionsFromUrl, sqlite } from 'millrace/sqlite'
import { parseEffects, type Effect, type Fault } from './ledger.js'
import { startProgram, type Proc } from './processes.js'
import { verdictOf, type Verdict } from './verdict.js'
import { monotonic, until, within } from './wait.js'

export interface SiteOptions {
  /** Milliseconds; left out, the default of 15 s. */
  readonly lease?: number
  /** `false`: the connection on the main thread. */
  readonly thread?: false
  readonly maxCrashes?: number
  /** Folder for the database file, when it is not to lie beside the effects. */
  readonly disk?: (folder: string) => string
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
const EXIT_PATIENCE = 40_000
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
  const driver = sqlite(optionsFromUrl(url))
  const log = (line: object | string, text?: string) =>
    appendFileSync(join(logs, 'runner.log'), `${text ?? ''} ${JSON.stringify(line)}\n`)
  const client = await connect(driver, { log: { debug() {}, info() {}, warn: log, error: log }, retention: KEPT })
  const faults: Fault[] = []
  const workers: Proc[] = []
  const producers: Proc[] = []
  const others: Proc[] = []
  const mine: Effect[] = []
  let unnamed = 0

  function start(list: Proc[], program: string, settings: object, more: NodeOptions = {}) {
    const kind = program.replace(/^crew-|\.mjs$/g, '')
    const proc = startProgram({
      program,
      name: `${kind}-${++started}`,
      options: { url, file, effects: effectsFile, ...settings },
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

  const effects = () => [...parseEffects(readFileSync(effectsFile, 'utf8')), ...mine]
  const open = async () => (await driver.jobs.count({ states: ['scheduled', 'ready', 'active'] })) > 0

  /** Those that do not end with 0 when they are told to. */
  async function stopped(procs: readonly Proc[]): Promise<string[]> {
    const running = procs.filter((proc) => proc.running)
    // Before it is ready, a signal ends it as any program.
    await Promise.allSettled(running.map((proc) => proc.ready))
    for (const proc of running) proc.signal('SIGTERM')
    const ends = await Promise.all(running.map((proc) => within(proc.ended, EXIT_PATIENCE)))
    return running.flatMap((proc, i) =>
      ends[i] === 0 ? [] : [`${proc.name} was told to stop and ended with ${ends[i] ?? 'nothing'}`],
    )
  }

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
      const violations = await stopped(producers)
      if (!(await until(async () => !(await open()), ms, 50))) violations.push(`jobs were left after ${ms / 1000} s`)
      violations.push(...(await stopped(workers)), ...(await intact()))
      return verdictOf({ effects: effects(), records: await records(), faults, unnamed, violations })
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
