// Every scenario, in the order in which they run.
import type { Scenario } from '../scenario.js'
import { blocker } from './blocker.js'
import { clockJumps } from './clock-jumps.js'
import { diskFull } from './disk-full.js'
import { fair } from './fair.js'
import { kill } from './kill.js'
import { longTransaction } from './long-transaction.js'
import { pauseAll } from './pause-all.js'
import { pause } from './pause.js'
import { poison } from './poison.js'
import { rabbitPoison } from './rabbit-poison.js'
import { rabbit, rabbitKill, rabbitPair } from './rabbit.js'
import { schedules } from './schedules.js'
import { stopKill } from './stop-kill.js'

export const SCENARIOS: readonly Scenario[] = [
  kill,
  pause,
  pauseAll,
  longTransaction,
  clockJumps,
  diskFull,
  poison,
  blocker,
  stopKill,
  fair,
  schedules,
  rabbit,
  rabbitPair,
  rabbitKill,
  rabbitPoison,
]
