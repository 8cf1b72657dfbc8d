// Tests of the moves between the states of a job: exactly those of the diagram, and no way out of them.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_PRIORITY, JOB_STATES, MOVES, isFinished, stateAfter, type JobState, type Move } from './job.js'

const ALL_MOVES = Object.keys(MOVES) as Move[]
/** The diagram, written down a second time: move, from, to. */
const DIAGRAM: [Move, JobState, JobState][] = [
  ['due', 'scheduled', 'ready'],
  ['start', 'ready', 'active'],
  ['complete', 'active', 'completed'],
  ['retry', 'active', 'scheduled'],
  ['release', 'active', 'ready'],
  ['bury', 'active', 'dead'],
  ['cancel', 'scheduled', 'cancelled'],
  ['cancel', 'ready', 'cancelled'],
  ['cancel', 'active', 'cancelled'],
  ['revive', 'dead', 'ready'],
]
const move = fc.constantFrom(...ALL_MOVES)
const state = fc.constantFrom(...JOB_STATES)

describe('the states of a job', () => {
  it('are six', () => {
    expect(JOB_STATES).toEqual(['scheduled', 'ready', 'active', 'completed', 'dead', 'cancelled'])
  })

  it('are finished when completed, dead or cancelled', () => {
    expect(JOB_STATES.filter(isFinished)).toEqual(['completed', 'dead', 'cancelled'])
  })

  it('have the middle priority as default', () => {
    expect(DEFAULT_PRIORITY).toBe(4)
  })
})

describe('the moves', () => {
  it.each(DIAGRAM)('%s leads from %s to %s', (name, from, to) => {
    expect(stateAfter(from, name)).toBe(to)
  })

  it('are those of the diagram and no others', () => {
    const found = ALL_MOVES.flatMap((name) =>
      JOB_STATES.flatMap((from) => {
        const to = stateAfter(from, name)
        return to === undefined ? [] : [`${name}: ${from} → ${to}`]
      }),
    )
    expect(found.sort()).toEqual(DIAGRAM.map(([name, from, to]) => `${name}: ${from} → ${to}`).sort())
    expect(Object.values(MOVES).flatMap((targets) => Object.keys(targets))).toHaveLength(DIAGRAM.length)
  })

  it('lead nowhere from completed and cancelled, and from dead only back to ready', () => {
    const movesFrom = (from: JobState): Move[] => ALL_MOVES.filter((name) => stateAfter(from, name) !== undefined)
    expect(movesFrom('completed')).toEqual([])
    expect(movesFrom('cancelled')).toEqual([])
    expect(movesFrom('dead')).toEqual(['revive'])
    expect(stateAfter('dead', 'revive')).toBe('ready')
  })

  it('never leave a state as it is', () => {
    fc.assert(fc.property(state, move, (from, name) => stateAfter(from, name) !== from))
  })

  it('never leave the set of states on a random walk, and follow the diagram at each step', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<JobState>('scheduled', 'ready'),
        fc.array(move, { maxLength: 100 }),
        (start, walk) => {
          let at = start
          for (const name of walk) {
            const next = stateAfter(at, name)
            const drawn = DIAGRAM.find(([m, from]) => m === name && from === at)
            expect(next).toBe(drawn?.[2])
            if (next === undefined) continue
            expect(JOB_STATES).toContain(next)
            expect(at === 'completed' || at === 'cancelled').toBe(false)
            if (isFinished(at)) expect([at, name, next]).toEqual(['dead', 'revive', 'ready'])
            at = next
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('run a job only through ready: nothing else leads to active', () => {
    fc.assert(
      fc.property(state, move, (from, name) => {
        if (stateAfter(from, name) === 'active') expect([from, name]).toEqual(['ready', 'start'])
      }),
    )
  })

  it('reach every state from scheduled', () => {
    const reached = new Set<JobState>(['scheduled'])
    for (const at of reached) for (const name of ALL_MOVES) reached.add(stateAfter(at, name) ?? at)
    expect([...reached].sort()).toEqual([...JOB_STATES].sort())
  })
})
