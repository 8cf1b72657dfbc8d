// A schedule as the store keeps it: one entry of `State`, changed only under compare-and-set, and the jobs that its ticks make.
import type { Envelope } from '../core/envelope.js'
import { overlapKey, tickOf, type ScheduleDefinition } from '../core/schedule.js'
import { UnsupportedError } from '../core/errors.js'
import type { Entry, SeenWorker, State, Traits } from '../driver/driver.js'
import type { Session } from './session.js'

/** Entries of `State` under this prefix, followed by a schedule's name. */
export const SCHEDULE_PREFIX = 'schedule/'

/** Times in epoch milliseconds. */
export interface ScheduleRecord extends ScheduleDefinition {
  /** The first tick that has not been made; left out when there is none any more. */
  readonly next?: number
  /** The last tick that was made. */
  readonly previous?: number
  readonly paused: boolean
  readonly from: 'code' | 'runtime'
  /** Id of the worker whose code it is; left out when `millrace setup` has declared it. */
  readonly declaredBy?: string
}

/** One that has made its only tick is still shown for so long, if nobody's code declares it. */
const SHOWN_AFTERWARDS = 86_400_000

export const recordOf = (entry: Entry): ScheduleRecord => JSON.parse(entry.value) as ScheduleRecord

export const nameOf = (entry: Entry): string => entry.key.slice(SCHEDULE_PREFIX.length)

/** All of them, in the order of their names. */
export async function readSchedules(state: State): Promise<ReadonlyMap<string, ScheduleRecord>> {
  const entries = await state.list({ prefix: SCHEDULE_PREFIX })
  return new Map(entries.map((entry) => [nameOf(entry), recordOf(entry)]))
}

/** Write the record, and keep the jobs in the same step. `false`: somebody else has changed it, and nothing was done. */
export async function writeSchedule(
  state: State,
  o: {
    readonly name: string
    readonly record: ScheduleRecord
    readonly expect: number | 'absent'
    readonly publish?: readonly Envelope[]
  },
): Promise<boolean> {
  const { name, record, expect, publish = [] } = o
  const over = record.from === 'runtime' && record.next === undefined
  const version = await state.set({
    key: SCHEDULE_PREFIX + name,
    value: JSON.stringify(record),
    expect,
    ...(publish.length > 0 && { publish }),
    ...(over && { ttl: SHOWN_AFTERWARDS }),
  })
  return version !== undefined
}

/**
 * Change a record, and again on what somebody else has made of it meanwhile. `decide` answers the new record, or `undefined`
 * to leave it as it is.
 */
export async function changeSchedule(
  state: State,
  name: string,
  decide: (record: ScheduleRecord | undefined) => ScheduleRecord | undefined,
): Promise<void> {
  for (;;) {
    const entry = await state.get({ key: SCHEDULE_PREFIX + name })
    const record = decide(entry && recordOf(entry))
    if (!record || (await writeSchedule(state, { name, record, expect: entry?.version ?? 'absent' }))) return
  }
}

/** Names that the code of live workers declares. One that stops takes no job any more, so it counts no longer. */
export function declaredNames(workers: readonly Pick<SeenWorker, 'schedules' | 'stopping'>[]): ReadonlySet<string> {
  return new Set(workers.flatMap(({ schedules = [], stopping }) => (stopping ? [] : schedules)))
}

/** The job of a tick, or of a trigger at that time. */
export function jobOf(
  session: Pick<Session<any>, 'around' | 'keep'>,
  o: {
    readonly id: string
    readonly name: string
    readonly definition: ScheduleDefinition
    readonly time: number
    readonly previous: number | undefined
    /** Put it off by chance, as the rule says. */
    readonly jitter: boolean
  },
): Envelope {
  const { around, keep } = session
  const { rule, job } = o.definition
  const now = around.now()
  const unique = rule.overlap === 'skip' ? { key: overlapKey(o.name), until: 'finished' as const } : job.unique
  const envelope: Envelope = {
    id: o.id,
    queue: job.queue,
    name: job.task,
    body: job.body ?? JSON.stringify(tickOf(rule, o.time, o.previous)),
    headers: {},
    priority: job.priority,
    enqueuedAt: now,
    keep: { completed: keep.completed, dead: keep.dead, ...job.retention },
    ...(o.jitter && rule.jitter > 0 && { notBefore: o.time + Math.round(around.random() * rule.jitter) }),
    ...(job.expires !== undefined && { expiresAt: now + job.expires }),
    ...(unique && { unique }),
    ...(job.group !== undefined && { group: job.group }),
  }
  around.made?.(envelope, { id: o.id })
  return envelope
}

/** @throws UnsupportedError for a rule whose jobs the driver could not keep */
export function checkSchedulable(
  driver: { readonly name: string; readonly traits: Traits },
  name: string,
  { rule, job }: ScheduleDefinition,
): void {
  const needs = (what: string) =>
    new UnsupportedError(
      `Schedule "${name}": the ${driver.name} driver cannot ${what}. Choose another driver, or add a store.`,
    )
  if (rule.jitter > 0 && !driver.traits.delay) throw needs('delay jobs, which `jitter` takes')
  if ((rule.overlap === 'skip' || job.unique) && !driver.traits.unique)
    throw needs("keep jobs unique, which `overlap: 'skip'` takes")
}
