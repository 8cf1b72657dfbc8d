// An effect for tests of the judgements, of job `a` by worker `w1`, its settling verbs with success.
import type { Effect } from './ledger.js'

export const effect = (verb: Effect['verb'], o: Partial<Effect> = {}): Effect => ({
  verb,
  outcome: ['ack', 'retry', 'dead', 'release'].includes(verb) ? 'ok' : '-',
  id: 'a',
  run: 1,
  attempt: 1,
  process: 'w1',
  at: 0,
  ...o,
})
