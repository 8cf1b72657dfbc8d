// What a worker's code declares becomes records of the store: at its start, and again when the worker whose declaration
// stands there is gone, so that a deploy that was taken back leaves no schedule of its own behind.
import { canonical } from '../core/codec.js'
import { nextTick, sameTimes, type ScheduleDeclaration, type ScheduleDefinition } from '../core/schedule.js'
import { changeSchedule, checkSchedulable, readSchedules, type ScheduleRecord } from '../client/schedule-record.js'
import { needsStore } from '../driver/bare.js'
import type { StatefulDriver } from '../driver/driver.js'
import type { Logger } from '../observe/log.js'

interface Declaring {
  readonly driver: Pick<StatefulDriver<any>, 'name' | 'traits' | 'state' | 'workers'>
  readonly schedules: readonly ScheduleDeclaration[]
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly log: Logger
  /** Id of the worker whose code it is; left out where none will run. */
  readonly worker?: string | undefined
}

/** The newest declaration wins. @throws UnsupportedError for what the driver cannot do */
export async function declareSchedules(o: Declaring): Promise<void> {
  for (const { name, definition } of o.schedules) {
    if (!o.driver.traits.remembers) throw needsStore(o.driver, `keep schedules ("${name}")`)
    checkSchedulable(o.driver, name, definition)
    await declareOne(o, name, definition)
  }
}

function declareOne(o: Declaring, name: string, definition: ScheduleDefinition): Promise<void> {
  return changeSchedule(o.driver.state, name, (before) => {
    if (before?.from === 'runtime')
      o.log.warn({ schedule: name }, 'Code declares a schedule that was made at run time; the code holds from now on.')
    else if (before && !sameDefinition(before, definition))
      o.log.info({ schedule: name }, 'A schedule was declared anew; the newest declaration holds.')
    return declaredRecord(before, definition, { from: 'code', now: o.now(), declaredBy: o.worker })
  })
}

/** The cursor stays when the ticks are the same; else the first tick is after now. What an operator said stays in any case. */
function declaredRecord(
  before: ScheduleRecord | undefined,
  { rule, job }: ScheduleDefinition,
  o: { readonly from: 'code'; readonly now: number; readonly declaredBy: string | undefined },
): ScheduleRecord {
  const next = before && sameTimes(before.rule, rule) ? before.next : nextTick(rule, o.now)
  return {
    rule,
    job,
    paused: before?.paused ?? false,
    from: o.from,
    ...(next !== undefined && { next }),
    ...(before?.previous !== undefined && { previous: before.previous }),
    ...(o.declaredBy !== undefined && { declaredBy: o.declaredBy }),
  }
}

function sameDefinition(a: ScheduleDefinition, b: ScheduleDefinition): boolean {
  return canonical({ rule: a.rule, job: a.job }) === canonical({ rule: b.rule, job: b.job })
}

/**
 * Answers a function that looks after a worker's declarations: one that is gone, or whose worker is, is declared by this
 * worker, but one that says something else only at the second look, so that workers of the same code come first.
 */
export function createUpkeep(o: Declaring & { readonly worker: string }): () => Promise<void> {
  let doubted: ReadonlySet<string> = new Set()
  return async () => {
    const [records, workers] = [await readSchedules(o.driver.state), await o.driver.workers.list()]
    const live = new Set(workers.filter(({ stopping }) => !stopping).map(({ worker }) => worker))
    const doubts = new Set<string>()
    for (const { name, definition } of o.schedules) {
      const record = records.get(name)
      if (record?.from === 'runtime') continue
      // Without a worker it was declared by a release step, and stands until the next worker starts.
      if (record && (record.declaredBy === undefined || live.has(record.declaredBy))) continue
      if (record && !sameDefinition(record, definition) && !doubted.has(name)) doubts.add(name)
      else await declareOne(o, name, definition)
    }
    doubted = doubts
  }
}
