// All cases, in the order in which they are measured and printed.
import { bulkEnqueue } from './bulk-enqueue.js'
import type { Case } from './case.js'
import { delayLateness } from './delay-lateness.js'
import { drain, drainBesideFinished, drainBesideWaiting } from './drain.js'
import { gateway } from './gateway.js'
import { idleCpu } from './idle-cpu.js'
import { latencyCross } from './latency-cross.js'
import { latencyLocal } from './latency-local.js'
import { rssGrowth } from './rss-growth.js'
import { singleEnqueue1, singleEnqueue64 } from './single-enqueue.js'

export const CASES: readonly Case[] = [
  bulkEnqueue,
  singleEnqueue1,
  singleEnqueue64,
  drain,
  latencyLocal,
  latencyCross,
  delayLateness,
  idleCpu,
  drainBesideWaiting,
  drainBesideFinished,
  rssGrowth,
  gateway,
]
