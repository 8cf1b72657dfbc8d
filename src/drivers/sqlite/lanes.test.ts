// Lanes: what a transaction that fails took from nobody's credit.
import { describe, expect, it } from 'vitest'
import { ROW, type Claims } from './broker-sql.js'
import type { Db, SqlValue } from './engine.js'
import { createLanes } from './lanes.js'
import { createCells } from './slots.js'

const row = (id: string): SqlValue[] => [1, id, 'task', '{}', 4, 0, 0, 1, 0, 0, 0, null, null]
const db = {} as Db

function setting(take: Claims['take']) {
  const claims: Claims = { look: () => ({ ready: false, suspect: false, due: Infinity }), take }
  const lanes = createLanes({ claims, db: () => db, pollEvery: 60_000, hungry: () => {}, onError: () => {} })
  for (const [lane, queue] of ['a', 'b'].entries()) {
    lanes.open({ lane, queue, worker: 'w', cells: createCells() })
    lanes.credit(lane, 1, 0)
  }
  return lanes
}

describe('lanes', () => {
  it('get their credit back when the claim of a later lane fails, or the transaction does', () => {
    let full = true
    const lanes = setting((_db, { queue, suspects }) => {
      if (queue === 'b' && full) throw new Error('database or disk is full')
      return { values: row(`${queue} ${suspects}`), suspect: true, due: Infinity }
    })
    expect(() => lanes.take(db)).toThrow(/full/)
    full = false
    for (const undone of [true, false]) {
      const taken = lanes.take(db)
      // One each, and still with the right to a suspect.
      expect(taken.map(({ lane, values }) => [lane, values.length, values[1]])).toEqual([
        [0, ROW, 'a true'],
        [1, ROW, 'b true'],
      ])
      if (undone) lanes.undo(taken)
    }
    expect(lanes.take(db)).toEqual([])
    lanes.end()
  })
})
