// The judgement of a broker without a store: doing a job twice is allowed around a fault, losing one never is.
import { describe, expect, it } from 'vitest'
import { judgeBare, type BareFault, type BareHistory } from './bare.js'
import { effect } from './effect.js'
import { resumedAfter } from './trouble.js'

const history = (o: Partial<BareHistory>): BareHistory => ({
  effects: [],
  letters: [],
  faults: [],
  unnamed: 0,
  maxCrashes: 3,
  ...o,
})
const judged = (o: Partial<BareHistory>) => judgeBare(history(o))
const violations = (o: Partial<BareHistory>) => judged(o).violations

const NAMED = effect('named', { run: 0, outcome: 'ok' })
const DONE = [NAMED, effect('take'), effect('begin'), effect('end'), effect('ack')]
const doneBy = (process: string, at: number) =>
  (['take', 'begin', 'end', 'ack'] as const).map((verb) => effect(verb, { process, at }))
const KILL: BareFault = { process: 'w1', from: 100, to: 100 }
const CUT: BareFault = { from: 100, to: 3000 }
const CRASHED = { id: 'a', reason: 'crashed' }
/** Begun and cut off, so many times. */
const deaths = (times: number) =>
  Array.from({ length: times }, (_, i) => effect('begin', { process: `w${i}`, at: 100 * i }))

describe('a history in which nothing is wrong', () => {
  it('of one job has no violation', () => {
    expect(judged({ effects: DONE })).toEqual({
      violations: [],
      figures: { jobs: 1, completed: 1, dead: 0, redone: 0, doubles: 0 },
    })
  })

  it.each([
    ['whose worker was killed before it ended', [NAMED, effect('begin'), ...doneBy('w2', 200)], KILL],
    ['that was done, and again because its ack did not arrive', [...DONE, ...doneBy('w2', 4000)], CUT],
    [
      'whose settle failed when the link was cut, while the handler had ended',
      [...DONE.slice(0, 4), effect('lost', { outcome: 'link', at: 200 }), effect('ack', { outcome: 'lost', at: 210 })],
      CUT,
    ],
    ['that is done by several copies', [...DONE, ...doneBy('w2', 4000), ...doneBy('w3', 5000)], CUT],
  ])('may have a job %s, which counts once', (_name, effects, fault) => {
    const { violations: found, figures } = judged({ effects, faults: [fault] })
    expect([found, figures.jobs, figures.completed]).toEqual([[], 1, 1])
  })

  it('may have an end that its killed process could not settle any more', () => {
    expect(violations({ effects: DONE.slice(0, 4), faults: [KILL] })).toEqual([])
  })

  it('may have failures, releases, and jobs that are dead', () => {
    const effects = [
      NAMED,
      effect('begin'),
      effect('throw'),
      effect('retry'),
      effect('begin', { attempt: 2 }),
      effect('release', { attempt: 2 }),
      ...(['begin', 'end', 'ack'] as const).map((verb) => effect(verb, { attempt: 2 })),
      { ...NAMED, id: 'd', outcome: 'fail' },
      ...(['begin', 'throw', 'dead'] as const).map((verb) => effect(verb, { id: 'd' })),
    ]
    expect(judged({ effects, letters: [{ id: 'd', reason: 'failed' }] })).toEqual({
      violations: [],
      figures: { jobs: 2, completed: 1, dead: 1, redone: 0, doubles: 0 },
    })
  })

  it('may have a copy among the dead of a job that was done', () => {
    const { violations: found, figures } = judged({
      effects: [...DONE, ...deaths(4)],
      letters: [CRASHED],
      faults: [CUT],
    })
    expect([found, figures.completed, figures.dead, figures.doubles]).toEqual([[], 1, 0, 1])
  })

  it('may have an innocent job buried that was in hand at as many deaths as poison', () => {
    expect(violations({ effects: [NAMED, ...deaths(4)], letters: [CRASHED], faults: [KILL] })).toEqual([])
  })

  it('may have jobs whose enqueue did not know, and as many unnamed ones as killed producers had under way', () => {
    const unknown = effect('refused', { outcome: 'X/unknown' })
    expect(violations({ effects: [unknown, ...DONE.slice(1)] })).toEqual([])
    expect(violations({ effects: [unknown] })).toEqual([])
    expect(violations({ effects: DONE.slice(1), unnamed: 1 })).toEqual([])
  })
})

describe('a bad history', () => {
  const bad: [string, Partial<BareHistory>, RegExp][] = [
    ['a job is lost', { effects: [NAMED] }, /^1 job named by a resolved enqueue, but neither completed nor dead: a$/],
    ['a job is lost by a fault', { effects: [NAMED, effect('begin')], faults: [KILL, CUT] }, /neither completed nor/],
    ['a handler ended and nothing was settled', { effects: DONE.slice(0, 4) }, /neither completed nor dead/],
    [
      'a refused job ran',
      { effects: [effect('refused', { outcome: 'X/not-sent' }), ...DONE.slice(1)], unnamed: 1 },
      /said not-sent/,
    ],
    [
      'a job dies that had no reason to',
      { effects: [NAMED], letters: [{ id: 'a', reason: 'expired' }] },
      /dead\/expired/,
    ],
    [
      'an innocent job is buried before its limit',
      { effects: [NAMED, ...deaths(3)], letters: [CRASHED], faults: [KILL] },
      /ended as dead\/crashed, being of the kind "ok"/,
    ],
    ['it ran again for nothing', { effects: [...DONE, ...doneBy('w2', 4000)] }, /ran again although/],
    [
      'it ran again before anything had happened',
      { effects: [...DONE, ...doneBy('w2', 50)], faults: [CUT] },
      /ran again although/,
    ],
    [
      'it is dead twice for nothing',
      { effects: [NAMED, ...deaths(4)], letters: [CRASHED, CRASHED] },
      /is dead twice although/,
    ],
    [
      'an attempt is spent for nothing',
      { effects: [NAMED, effect('begin'), ...DONE.slice(1).map((one) => ({ ...one, attempt: 2 }))], faults: [KILL] },
      /spent an attempt without a failure/,
    ],
    [
      'a worker whose link was up lost its job',
      { effects: [...DONE, effect('lost', { at: 90_000 })], faults: [CUT] },
      /taken from a worker that lived/,
    ],
    [
      'jobs ran that nobody enqueued',
      { effects: DONE.slice(1) },
      /1 jobs ran that no enqueue has named; at most 0 were under way/,
    ],
  ]
  it.each(bad)('is found out when %s', (_name, wrong, text) => {
    expect(violations(wrong).join('\n')).toMatch(text)
  })
})

describe('resumedAfter', () => {
  const at = (verb: 'take' | 'begin', process: string, id: string, when: number) =>
    effect(verb, { process, id, at: when })

  it('counts the begin of a job that was handed over afterwards, not of one that was in hand', () => {
    const effects = [
      at('take', 'w1', 'old', 90),
      at('begin', 'w1', 'old', 110),
      at('take', 'w2', 'x', 120),
      at('begin', 'w2', 'x', 130),
      at('begin', 'w2', 'y', 140),
      at('take', 'w3', 'z', 120),
      at('begin', 'w3', 'z', 150),
    ]
    expect([...resumedAfter(effects, 100, ['w1', 'w2'])]).toEqual([['w2', 30]])
  })
})
