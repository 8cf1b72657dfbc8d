// Tests of job ids: the form of UUIDv7, order within a process whatever the clock does, and no id twice.
import fc from 'fast-check'
import { beforeEach, expect, it, vi } from 'vitest'

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const NOW = 1_700_000_000_000
let newId: (now?: number) => string

const timeOf = (id: string): number => parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
const sequenceOf = (id: string): number => parseInt(id.slice(15, 18), 16)

beforeEach(async () => {
  vi.resetModules() // the last id is state of the module
  ;({ newId } = await import('./id.js'))
})

it('an id is a UUIDv7 that begins with the time', () => {
  const id = newId(NOW)
  expect(id).toMatch(FORM)
  expect(timeOf(id)).toBe(NOW)
  expect(timeOf(newId(2 ** 48 - 1))).toBe(2 ** 48 - 1)
})

it('a time of long ago is padded', () => {
  expect(newId(1)).toMatch(/^00000000-0001-7/)
})

it('the time is that of the clock unless given', () => {
  const before = Date.now()
  const time = timeOf(newId())
  expect(time).toBeGreaterThanOrEqual(before)
  expect(time).toBeLessThanOrEqual(Date.now())
})

it('100,000 ids are valid, only grow, and none comes twice', () => {
  const ids = Array.from({ length: 100_000 }, () => newId())
  expect(ids.filter((id) => !FORM.test(id))).toEqual([])
  expect(ids.filter((id, i) => i > 0 && id <= ids[i - 1]!)).toEqual([])
  expect(new Set(ids).size).toBe(100_000)
})

it('the part behind the order is drawn at random', () => {
  const tails = Array.from({ length: 10_000 }, () => newId(NOW).slice(19))
  expect(new Set(tails).size).toBe(10_000)
  expect(new Set(tails.map((tail) => tail[0]))).toEqual(new Set(['8', '9', 'a', 'b']))
  for (let at = 1; at < 4; at++) expect(new Set(tails.map((tail) => tail[at])).size).toBe(16)
})

it('the first id of a millisecond leaves room for those that follow', () => {
  const first = Array.from({ length: 2000 }, (_, i) => sequenceOf(newId(NOW + i)))
  expect(Math.max(...first)).toBeLessThan(0x100)
  expect(new Set(first).size).toBeGreaterThan(200)
})

it('ids of one millisecond count up and run on into the next when it is full', () => {
  const ids = Array.from({ length: 0x1000 }, () => newId(NOW))
  const start = sequenceOf(ids[0]!)
  const room = 0x1000 - start
  expect(ids.slice(0, room).map(sequenceOf)).toEqual(Array.from({ length: room }, (_, i) => start + i))
  expect(new Set(ids.slice(0, room).map(timeOf))).toEqual(new Set([NOW]))
  expect(ids.slice(room).map(sequenceOf)).toEqual(Array.from({ length: start }, (_, i) => i))
  expect(ids.slice(room).every((id) => timeOf(id) === NOW + 1)).toBe(true)
})

it('ids only grow when the clock steps back, and follow it once it has caught up', () => {
  const first = newId(NOW)
  const back = newId(NOW - 60_000)
  expect(back > first).toBe(true)
  expect(timeOf(back)).toBe(NOW)
  expect(timeOf(newId(NOW + 1))).toBe(NOW + 1)
})

it('ids only grow whatever the clock does', () => {
  const clock = fc.array(fc.oneof(fc.integer({ min: -5, max: 5 }), fc.integer({ min: -1e9, max: 1e9 })), {
    maxLength: 300,
  })
  let last = newId(NOW)
  fc.assert(
    fc.property(clock, (steps) => {
      let now = NOW
      for (const step of steps) {
        const id = newId((now += step))
        expect(id).toMatch(FORM)
        expect(id > last).toBe(true)
        last = id
      }
    }),
  )
})
