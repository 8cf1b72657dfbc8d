// Chance that can be had again: a chaos run with the same seed meets the same faults.
import { describe, expect, it } from 'vitest'
import { createRandom } from './random.js'

const draw = (seed: string) => {
  const random = createRandom(seed)
  return Array.from({ length: 50 }, () => random.between(0, 1_000_000))
}

describe('createRandom', () => {
  it('gives the same numbers for the same seed, and others for another', () => {
    expect(draw('1/kill')).toEqual(draw('1/kill'))
    expect(draw('1/kill')).not.toEqual(draw('2/kill'))
  })

  it('has streams that do not depend on what was drawn elsewhere', () => {
    const [fresh, used] = [createRandom('1'), createRandom('1')]
    used.fraction()
    expect(used.stream('a').fraction()).toBe(fresh.stream('a').fraction())
    expect(fresh.stream('a').fraction()).not.toBe(fresh.stream('b').fraction())
  })

  it('keeps within its bounds and reaches both of them', () => {
    const random = createRandom('bounds')
    const drawn = Array.from({ length: 1000 }, () => random.between(3, 5))
    expect([Math.min(...drawn), Math.max(...drawn), new Set(drawn).size]).toEqual([3, 5, 3])
  })

  it('spreads gaps around their mean', () => {
    const random = createRandom('gaps')
    const gaps = Array.from({ length: 10_000 }, () => random.gap(100))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0)
    expect(Math.abs(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length - 100)).toBeLessThan(5)
  })

  it('shuffles without losing anything', () => {
    const list = [1, 2, 3, 4, 5, 6, 7, 8]
    const shuffled = createRandom('cards').shuffle(list)
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(list)
    expect(shuffled).not.toEqual(list)
  })
})
