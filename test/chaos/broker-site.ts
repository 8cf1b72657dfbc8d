// One vhost of a broker without a store, with the processes on it, the effects they write, and the faults they suffer. What is
// in whose hands nobody keeps here, so everything is judged by what was done.
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, defineTask, unchecked } from 'millrace'
import type { RabbitmqNode } from '../support/rabbitmq-node.js'
import { judgeBare, type BareFault, type BareFigures, type DeadLetter } from './bare.js'
import type { Effect } from './ledger.js'
import { startProgram, stopAll, type Proc } from './processes.js'
import type { Input } from './site.js'
import { tailOf } from './tail.js'
import { monotonic, until } from './wait.js'

export interface BrokerSiteOptions {
  readonly node: RabbitmqNode
}

export interface BrokerSite {
  readonly folder: string
  readonly vhost: string
  worker(own?: object): Proc
  producer(own?: object): Proc
  /** Enqueue jobs ourselves; answers their ids. */
  enqueue(inputs: readonly Input[]): Promise<string[]>
  /**
   * Resolves when everything is declared, the delays too, and RabbitMQ has it on disk: a queue that was declared within about
   * the last second before its node is killed comes back without a leader (docs/drivers/rabbitmq.md, "When a node is killed").
   */
  declared(): Promise<void>
  kill(proc: Proc): Promise<void>
  /** It has died by itself. */
  died(proc: Proc): void
  /** The links of all were cut from then until then. */
  cut(o: { readonly from: number; readonly to: number }): void
  mayBeUnnamed(jobs: number): void
  /** Everything that was written so far. */
  effects(): readonly Effect[]
  deadLetters(): Promise<readonly DeadLetter[]>
  /** Stop the producers, wait until every job has ended, stop the workers, and judge. */
  finish(ms?: number): Promise<{ readonly figures: BareFigures; readonly violations: readonly string[] }>
  close(): Promise<void>
  forget(keep: boolean): void
}

export const MAX_CRASHES = 3
const work = defineTask('work', { input: unchecked<Input>() })
/** Three times what RabbitMQ takes to write down where a new queue is. */
const ON_DISK = 3_000
const ENDING = ['end', 'dead']
/** Streams: what has died stays, and so do the names of queues. */
const KEEPING = /[.](dead|catalogue)$/
let started = 0

export async function openBrokerSite(name: string, { node }: BrokerSiteOptions): Promise<BrokerSite> {
  const folder = mkdtempSync(join(tmpdir(), `millrace-chaos-${name}-`))
  const vhost = `millrace-chaos-${++started}`
  await node.addVhost(vhost)
  const broker = node.urlOf(vhost)
  const file = join(folder, 'effects')
  const logs = join(folder, 'logs')
  mkdirSync(logs)
  writeFileSync(file, '')
  const log = (line: object | string, text?: string) =>
    appendFileSync(join(logs, 'runner.log'), `${text ?? ''} ${JSON.stringify(line)}\n`)
  const client = await connect(broker, { log: { debug() {}, info() {}, warn: log, error: log } })
  const workers: Proc[] = []
  const producers: Proc[] = []
  const mine: Effect[] = []
  const faults: BareFault[] = []
  const written = tailOf(file)
  let unnamed = 0

  function start(list: Proc[], program: string, settings: object): Proc {
    const kind = program.replace(/^crew-|\.mjs$/g, '')
    const proc = startProgram({
      program,
      name: `${kind}-${++started}`,
      options: { broker, effects: file, takes: true, ...settings },
      log: join(logs, `${kind}-${started}.log`),
    })
    list.push(proc)
    return proc
  }

  const effects = () => [...written(), ...mine]

  async function deadLetters(): Promise<DeadLetter[]> {
    const all: DeadLetter[] = []
    for (let cursor: string | undefined; ;) {
      const page = await client.jobs.list({ states: ['dead'], limit: 1000, ...(cursor !== undefined && { cursor }) })
      all.push(...page.jobs.map(({ id, reason = 'failed' }) => ({ id, reason })))
      if ((cursor = page.cursor) === undefined) return all
    }
  }

  /** Named, and nobody has been seen to end it. */
  function open(): number {
    const all = effects()
    const ended = new Set(all.filter(({ verb }) => ENDING.includes(verb)).map(({ id }) => id))
    return all.filter(({ verb, id }) => verb === 'named' && !ended.has(id)).length
  }

  /** What waits in any queue of the vhost, by the broker's own word, with its name. */
  async function waiting(): Promise<string[]> {
    const lines = (await node.ctl('list_queues', '-p', vhost, 'name', 'messages')).trim().split('\n')
    return lines
      .map((line) => line.split('\t'))
      .filter(([queue = '', messages]) => Number(messages) > 0 && !KEEPING.test(queue))
      .map(([queue, messages]) => `${messages} in ${queue}`)
  }

  const named = (id: string, { kind }: Input) =>
    mine.push({ verb: 'named', outcome: kind, id, run: 0, attempt: 0, process: 'runner', at: monotonic() })

  return {
    folder,
    vhost,
    worker: (own = {}) => start(workers, 'crew-worker.mjs', { concurrency: 5, ...own }),
    producer: (own = {}) => start(producers, 'crew-producer.mjs', own),
    async enqueue(inputs) {
      const jobs = await client.enqueueMany(work, inputs)
      for (const [i, { id }] of jobs.entries()) named(id, inputs[i]!)
      return jobs.map(({ id }) => id)
    },
    async declared() {
      const input: Input = { kind: 'ok', ms: 1 }
      named((await client.enqueue(work, input, { delay: '1s' })).id, input)
      await sleep(ON_DISK)
    },
    async kill(proc) {
      const from = monotonic()
      proc.signal('SIGKILL')
      await proc.ended
      faults.push({ process: proc.name, from, to: monotonic() })
    },
    died(proc) {
      faults.push({ process: proc.name, from: monotonic() - 1000, to: monotonic() })
    },
    cut: (o) => void faults.push(o),
    mayBeUnnamed: (jobs) => void (unnamed += jobs),
    effects,
    deadLetters,
    async finish(ms = 60_000) {
      const violations = await stopAll(producers)
      const buried = async () => new Set((await deadLetters()).map(({ id }) => id))
      const all = async () => open() === 0 || open() <= (await buried()).size
      // Copies may still wait when every job has ended once.
      const empty = async () => (await all()) && (await waiting()).length === 0
      await until(empty, ms, 500)
      violations.push(...(await stopAll(workers)))
      const left = await waiting()
      if (left.length > 0) violations.push(`messages were left after ${ms / 1000} s: ${left.join(', ')}`)
      const letters = await deadLetters()
      const verdict = judgeBare({ effects: effects(), letters, faults, unnamed, maxCrashes: MAX_CRASHES })
      return { figures: verdict.figures, violations: [...violations, ...verdict.violations] }
    },
    async close() {
      const all = [...workers, ...producers].filter((proc) => proc.running)
      for (const proc of all) proc.signal('SIGKILL')
      await Promise.all(all.map((proc) => proc.ended))
      await client.close()
    },
    forget(keep) {
      if (!keep) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
