// Who is taken for dead, and when.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { beatInterval, createLeaseWatch, watchGap } from './leases.js'

function watching(lease = 1000) {
  let now = 0
  const watch = createLeaseWatch({ lease, gap: 400, now: () => now })
  return (at: number, beats: Record<string, number>) => {
    now = at
    return watch.look(Object.entries(beats).map(([worker, count]) => ({ worker, count }))).map((one) => one.worker)
  }
}

describe('a lease watch', () => {
  it('takes a worker for dead when its counter has not moved for one lease', () => {
    const look = watching()
    for (let at = 0; at < 1000; at += 200) expect(look(at, { a: 1, b: at })).toEqual([])
    expect(look(1000, { a: 1, b: 1000 })).toEqual(['a'])
  })

  it('starts anew when the counter moves', () => {
    const look = watching()
    for (let at = 0; at <= 800; at += 200) expect(look(at, { a: 1 })).toEqual([])
    for (let at = 1000; at <= 1800; at += 200) expect(look(at, { a: 2 })).toEqual([])
    expect(look(2000, { a: 2 })).toEqual(['a'])
  })

  it('trusts nothing it saw before a gap of its own: everybody gets one fresh lease', () => {
    const look = watching()
    look(0, { a: 1 })
    look(300, { a: 1 })
    expect(look(5000, { a: 1 })).toEqual([])
    for (let at = 5200; at < 6000; at += 200) expect(look(at, { a: 1 })).toEqual([])
    expect(look(6000, { a: 1 })).toEqual(['a'])
  })

  it('never takes for dead who beats at least once a lease, however the looks fall', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 200 }), (steps) => {
        const look = watching()
        let at = 0
        for (const step of steps) {
          at += step
          expect(look(at, { a: Math.floor(at / 900) })).toEqual([])
        }
      }),
    )
  })

  it('beats at least six times a lease, and allows a gap of several beats', () => {
    for (const lease of [200, 1000, 15_000]) {
      expect(beatInterval(lease) * 6).toBeLessThanOrEqual(lease + 6)
      expect(watchGap(lease)).toBeGreaterThanOrEqual(beatInterval(lease) * 3)
      expect(watchGap(lease)).toBeLessThan(lease)
    }
    expect(beatInterval(15_000)).toBe(500)
  })
})
