// A worker's schedules: declared before its first job, and made to tick beside it.
import type { Companion } from '../worker/companion.js'
import { declareSchedules } from './declare.js'
import { startScheduler } from './scheduler.js'

export const schedulesCompanion: Companion = {
  declare: ({ driver, parts, plan, worker }) =>
    declareSchedules({
      driver,
      schedules: plan.schedules,
      now: parts.session.around.now,
      log: parts.session.log,
      worker,
    }),
  start: startScheduler,
}
