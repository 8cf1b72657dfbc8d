// The ledger tells a good history from every kind of bad one: without that, a chaos run could not fail.
import { describe, expect, it } from 'vitest'
import { effect } from './effect.js'
import { judge, parseEffects, type Fault, type History, type Row } from './ledger.js'
import { percentile, recoveries } from './recovery.js'

const row = (o: Partial<Row> = {}): Row => ({ id: 'a', state: 'completed', run: 1, attempt: 1, crashes: 0, ...o })
const kill = (o: Partial<Fault> = {}): Fault => ({
  kind: 'kill',
  process: 'w1',
  at: 100,
  lease: 1000,
  hands: [{ id: 'a', run: 1 }],
  ...o,
})
const history = (o: Partial<History>): History => ({ effects: [], rows: [], faults: [], unnamed: 0, ...o })
const violations = (o: Partial<History>) => judge(history(o)).violations

const NAMED = effect('named', { run: 0, outcome: 'ok' })
/** One job, done by one worker. */
const DONE = [NAMED, effect('begin'), effect('end'), effect('ack')]
/** The same job, begun by w1, which was killed, and done by w2. */
const DONE_AGAIN = [
  NAMED,
  effect('begin', { at: 50 }),
  ...(['begin', 'end', 'ack'] as const).map((verb) => effect(verb, { run: 2, process: 'w2', at: 1300 })),
]

describe('parseEffects', () => {
  it('reads a line, and passes over empty ones', () => {
    expect(parseEffects('ack lost j1 3 2 worker-4 4711 12.5\n\n')).toEqual([
      { verb: 'ack', outcome: 'lost', id: 'j1', run: 3, attempt: 2, process: 'worker-4', at: 12.5 },
    ])
  })
})

describe('a history in which nothing is wrong', () => {
  it('of one job has no violation', () => {
    expect(judge(history({ effects: DONE, rows: [row()] }))).toEqual({
      violations: [],
      figures: { jobs: 1, completed: 1, dead: 0, cancelled: 0, crashed: 0, redone: 0, inHand: 0, refusedSettles: 0 },
    })
  })

  it('may have a job done again that a killed process had in hand', () => {
    const { violations: found, figures } = judge(
      history({ effects: DONE_AGAIN, rows: [row({ run: 2 })], faults: [kill()] }),
    )
    expect([found, figures.redone, figures.inHand]).toEqual([[], 1, 1])
  })

  it('may have a frozen worker whose settle was refused', () => {
    const effects = [
      ...DONE_AGAIN,
      effect('lost', { outcome: 'lease' }),
      effect('end'),
      effect('ack', { outcome: 'lost' }),
    ]
    const { violations: found, figures } = judge(
      history({ effects, rows: [row({ run: 2 })], faults: [kill({ kind: 'freeze' })] }),
    )
    expect([found, figures.refusedSettles]).toEqual([[], 1])
  })

  it('may have an end that its killed process could not write down', () => {
    expect(
      violations({ effects: [NAMED, effect('begin'), effect('end')], rows: [row()], faults: [kill({ hands: [] })] }),
    ).toEqual([])
  })

  it('may have failures, releases, and jobs that are dead or cancelled', () => {
    const effects = [
      NAMED,
      effect('begin'),
      effect('throw'),
      effect('retry'),
      effect('begin', { run: 2, attempt: 2 }),
      effect('release', { run: 2, attempt: 2 }),
      ...(['begin', 'end', 'ack'] as const).map((verb) => effect(verb, { run: 3, attempt: 2 })),
      { ...NAMED, id: 'd', outcome: 'fail' },
      ...(['begin', 'throw', 'dead'] as const).map((verb) => effect(verb, { id: 'd' })),
      { ...NAMED, id: 'c', outcome: 'cancel' },
    ]
    const rows = [
      row({ run: 3, attempt: 2 }),
      row({ id: 'd', state: 'dead', reason: 'failed' }),
      row({ id: 'c', state: 'cancelled', run: 0 }),
    ]
    const { violations: found, figures } = judge(history({ effects, rows }))
    expect([found, figures.completed, figures.dead, figures.cancelled, figures.redone]).toEqual([[], 1, 1, 1, 0])
  })

  it('may have as many unnamed jobs as killed producers had under way', () => {
    expect(violations({ effects: DONE.slice(1), rows: [row()], unnamed: 1 })).toEqual([])
  })

  it('may have a job whose enqueue was answered with "unknown"', () => {
    const refused = effect('refused', { outcome: 'X/unknown' })
    expect(violations({ effects: [refused, ...DONE.slice(1)], rows: [row()] })).toEqual([])
    expect(violations({ effects: [refused] })).toEqual([])
  })
})

describe('a bad history', () => {
  const bad: [string, Partial<History>, RegExp][] = [
    ['a job is lost', { effects: [NAMED] }, /^1 job named by a resolved enqueue, but not in the store: a$/],
    ['a job that ran is gone', { effects: [effect('begin')] }, /ran, but is not in the store/],
    [
      'a refused job is there',
      { effects: [...DONE, effect('refused', { outcome: 'X/not-sent' })], rows: [row()] },
      /said not-sent/,
    ],
    [
      'a job dies that had no reason to',
      { effects: [NAMED], rows: [row({ state: 'dead', reason: 'expired', run: 0 })] },
      /ended as dead\/expired, being of the kind "ok"/,
    ],
    ['a job is not finished', { effects: [NAMED], rows: [row({ state: 'ready', run: 0 })] }, /not finished \(ready\)/],
    [
      'two runs ended it',
      { effects: [...DONE_AGAIN, effect('ack')], rows: [row({ run: 2 })], faults: [kill()] },
      /ended twice/,
    ],
    ['one run settled twice', { effects: [...DONE, effect('release')], rows: [row()] }, /settled twice by one run/],
    ['a stale run ended it', { effects: DONE, rows: [row({ run: 2 })] }, /ended by a run that did not own it/],
    [
      'it is completed without its handler',
      { effects: [NAMED, effect('ack')], rows: [row()] },
      /the handler of its last run did not end/,
    ],
    ['nobody wrote its end', { effects: DONE.slice(0, 3), rows: [row()] }, /nobody has written its end/],
    [
      'an attempt is spent for nothing',
      { effects: DONE, rows: [row({ attempt: 2 })] },
      /spent an attempt without a failure/,
    ],
    ['it ran again for nothing', { effects: DONE_AGAIN, rows: [row({ run: 2 })] }, /ran again although/],
    [
      'a crash is counted at the first death',
      { effects: DONE_AGAIN, rows: [row({ run: 2, crashes: 1 })], faults: [kill()] },
      /more crashes/,
    ],
    [
      'a living worker lost its job',
      { effects: [...DONE_AGAIN, effect('lost')], rows: [row({ run: 2 })] },
      /taken from a worker that lived/,
    ],
    [
      'a settle of a living worker was refused',
      { effects: [...DONE, effect('retry', { outcome: 'lost', process: 'w2' })], rows: [row()] },
      /taken from a worker that lived/,
    ],
    [
      'a job nobody enqueued is there',
      { effects: DONE.slice(1), rows: [row()] },
      /1 jobs are in the store that no enqueue has named; at most 0/,
    ],
  ]
  it.each(bad)('is found out when %s', (_name, wrong, text) => {
    expect(violations(wrong).join('\n')).toMatch(text)
  })

  it('says how many more jobs than it names', () => {
    const effects = Array.from({ length: 8 }, (_, i) => ({ ...NAMED, id: `j${i}` }))
    expect(violations({ effects })).toEqual([
      '8 jobs named by a resolved enqueue, but not in the store: j0, j1, j2, j3, j4 and 3 more',
    ])
  })
})

describe('recoveries', () => {
  const begin = (id: string, run: number, at: number) => effect('begin', { id, run, at, process: 'w2' })

  it('counts from the fault to the begin of the last job that was in hand', () => {
    const hands = ['a', 'b'].map((id) => ({ id, run: 1 }))
    const rows = [row({ run: 2 }), row({ id: 'b', run: 2 })]
    const effects = [begin('a', 2, 1100), begin('b', 2, 1400)]
    expect(recoveries(history({ effects, rows, faults: [kill({ hands })] }))).toEqual({
      times: [{ process: 'w1', lease: 1000, ms: 1300 }],
      never: [],
    })
  })

  it('names jobs that never began again, but not those that were cancelled meanwhile', () => {
    const hands = ['a', 'b'].map((id) => ({ id, run: 1 }))
    const rows = [row({ run: 2, state: 'ready' }), row({ id: 'b', run: 2, state: 'cancelled' })]
    expect(recoveries(history({ rows, faults: [kill({ hands })] }))).toEqual({ times: [], never: ['a'] })
  })

  it('leaves out a job that ended in the run that was in hand', () => {
    expect(recoveries(history({ rows: [row()], faults: [kill()] }))).toEqual({ times: [], never: [] })
  })

  it('counts from the later fault when that one hit the job before it had begun again', () => {
    const faults = [kill(), kill({ process: 'w2', at: 1200, hands: [{ id: 'a', run: 2 }] })]
    expect(recoveries(history({ effects: [begin('a', 3, 2300)], rows: [row({ run: 3 })], faults }))).toEqual({
      times: [{ process: 'w2', lease: 1000, ms: 1100 }],
      never: [],
    })
  })
})

describe('percentile', () => {
  it('takes the value below which that share lies', () => {
    expect([percentile([3, 1, 2, 4], 0.5), percentile([7], 0.99), percentile([], 0.5)]).toEqual([3, 7, 0])
  })
})
