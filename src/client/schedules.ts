// Schedules as an operator sees and handles them, and those that are made at run time.
import { canonical } from '../core/codec.js'
import { ConfigurationError } from '../core/errors.js'
import { checkSubscriberName } from '../core/event.js'
import { newId } from '../core/id.js'
import { checkRule, nextTick, sameTimes, schedulePrefix, type Rule, type ScheduleDefinition } from '../core/schedule.js'
import type { Task } from '../core/task.js'
import { needsStore } from '../driver/bare.js'
import type { StatefulDriver } from '../driver/driver.js'
import { isLive } from './findings.js'
import {
  SCHEDULE_PREFIX,
  changeSchedule,
  checkSchedulable,
  declaredNames,
  jobOf,
  readSchedules,
  type ScheduleRecord,
} from './schedule-record.js'
import type { Session } from './session.js'
import { fixedJob } from './tick-job.js'
import type { ClientCore, ScheduleInfo, WorkerStatus } from './types.js'
import { seeWorkers } from './workers.js'

export function createScheduleVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['schedules'] {
  const now = () => session.around.now()

  async function change(name: string, decide: (record: ScheduleRecord) => ScheduleRecord | undefined): Promise<void> {
    const { state } = await session.open()
    const known = [...(await readSchedules(state)).keys()]
    await changeSchedule(state, name, (record) => decide(record ?? notThere(name, known)))
  }

  return {
    async create(name: string, rule: Rule, task: Task<any>, input?: unknown): Promise<ScheduleInfo> {
      checkSubscriberName('schedule', name)
      const plain = checkRule(rule)
      if (typeof input === 'function')
        throw new ConfigurationError(
          `Schedule "${name}": a function of the tick lives in code, and cannot be kept in the store. Give the input itself, or declare the schedule in a worker with schedule().`,
        )
      const definition: ScheduleDefinition = { rule: plain, job: await fixedJob(name, plain, task, input) }
      const driver = await session.open()
      checkSchedulable(driver, name, definition)
      let made: ScheduleRecord | undefined
      await changeSchedule(driver.state, name, (before) => {
        const there = before && canonical({ rule: before.rule, job: before.job }) === canonical(definition)
        made = before
        if (before?.from === 'code')
          throw new ConfigurationError(
            `Schedule "${name}" is declared by code. Take another name; or, if no code declares it any more, remove it first.`,
          )
        if (there) return undefined
        return (made = createdRecord(name, before, definition, now()))
      })
      return infoOf(name, made!, true)
    },
    async list() {
      const driver = await session.open()
      if (!driver.traits.remembers) throw needsStore(driver, 'keep schedules')
      return seeSchedules(driver, await seeWorkers(driver))
    },
    async trigger(name) {
      const driver = await session.open()
      const records = await readSchedules(driver.state)
      const record = records.get(name) ?? notThere(name, [...records.keys()])
      const id = `${schedulePrefix(name)}trigger/${newId()}`
      const job = jobOf(session, {
        id,
        name,
        definition: record,
        time: now(),
        previous: record.previous,
        jitter: false,
      })
      const [receipt] = await driver.broker.publish({ envelopes: [job] })
      return { id: receipt!.id, duplicate: receipt!.duplicate }
    },
    pause: (name) => change(name, (record) => (record.paused ? undefined : { ...record, paused: true })),
    resume: (name) =>
      change(name, (record) => {
        if (!record.paused) return undefined
        // What passed during the pause was not meant to happen.
        const { next: _passed, ...rest } = record
        const next = nextTick(record.rule, now())
        return { ...rest, paused: false, ...(next !== undefined && { next }) }
      }),
    async remove(name) {
      const driver = await session.open()
      const records = await readSchedules(driver.state)
      const record = records.get(name) ?? notThere(name, [...records.keys()])
      if (record.from === 'code' && liveNames(await seeWorkers(driver)).has(name))
        throw new ConfigurationError(
          `Schedule "${name}" is declared by the code of a live worker, which would bring it back. Take it out of the code first, or pause it.`,
        )
      await driver.state.delete({ key: SCHEDULE_PREFIX + name })
    },
  }
}

/** Every schedule, in the order of their names. */
export async function seeSchedules(
  driver: Pick<StatefulDriver<any>, 'state'>,
  workers: readonly WorkerStatus[],
): Promise<readonly ScheduleInfo[]> {
  const live = liveNames(workers)
  const records = await readSchedules(driver.state)
  return [...records].map(([name, record]) => infoOf(name, record, record.from === 'runtime' || live.has(name)))
}

function liveNames(workers: readonly WorkerStatus[]): ReadonlySet<string> {
  return declaredNames(
    workers.filter(isLive).map(({ schedules, state }) => ({ schedules, stopping: state === 'stopping' })),
  )
}

function createdRecord(
  name: string,
  before: ScheduleRecord | undefined,
  definition: ScheduleDefinition,
  now: number,
): ScheduleRecord {
  const next = before && sameTimes(before.rule, definition.rule) ? before.next : nextTick(definition.rule, now)
  if (next === undefined)
    throw new ConfigurationError(
      `Schedule "${name}": at ${new Date(definition.rule.at ?? now).toISOString()} has passed, so it would never tick. Give a time to come, or enqueue the task.`,
    )
  return {
    ...definition,
    paused: before?.paused ?? false,
    from: 'runtime',
    next,
    ...(before?.previous !== undefined && { previous: before.previous }),
  }
}

function infoOf(name: string, record: ScheduleRecord, live: boolean): ScheduleInfo {
  const { rule, job, next, previous, paused, from } = record
  return {
    name,
    ...(rule.cron !== undefined && { cron: rule.cron, timezone: rule.timezone }),
    ...(rule.every !== undefined && { every: rule.every }),
    ...(rule.at !== undefined && { at: new Date(rule.at) }),
    missed: rule.missed,
    overlap: rule.overlap,
    jitter: rule.jitter,
    task: job.leadsTo ?? job.task,
    queue: job.queue,
    ...(next !== undefined && { next: new Date(next) }),
    ...(previous !== undefined && { previous: new Date(previous) }),
    paused,
    from,
    live,
  }
}

function notThere(name: string, known: readonly string[]): never {
  const there = known.length === 0 ? 'There are none yet' : `There are: ${known.join(', ')}`
  throw new ConfigurationError(
    `There is no schedule "${name}". ${there}. A worker declares those of its code when it starts.`,
  )
}
