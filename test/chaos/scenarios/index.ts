// Every scenario, in the order in which they run.
import type { Scenario } from '../scenario.js'
import { clockJumps } from './clock-jumps.js'
import { kill } from './kill.js'
import { longTransaction } from './long-transaction.js'
import { pauseAll } from './pause-all.js'
import { pause } from './pause.js'

export const SCENARIOS: readonly Scenario[] = [kill, pause, pauseAll, longTransaction, clockJumps]
