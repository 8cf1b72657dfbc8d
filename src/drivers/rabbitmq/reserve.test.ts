// The places that are kept for what follows upon a more urgent job.
import { expect, test } from 'vitest'
import { createReserve } from './reserve.js'

test('a place that was left is kept for one to two spans, and then for nobody', () => {
  let now = 0
  const reserve = createReserve(20, () => now)
  reserve.expect(1)
  expect(reserve.kept()).toBe(1)
  now = 19
  expect(reserve.kept()).toBe(1)
  now = 39
  expect(reserve.kept()).toBe(1)
  now = 59
  expect(reserve.kept()).toBe(0)
})

test('whoever comes takes the place that was left last; the others are kept as long as they were to be', () => {
  let now = 0
  const reserve = createReserve(20, () => now)
  reserve.expect(1)
  expect(reserve.kept()).toBe(1)
  now = 25
  reserve.expect(1)
  expect(reserve.kept()).toBe(2)
  reserve.came()
  expect(reserve.kept()).toBe(1)
  now = 46
  expect(reserve.kept()).toBe(0)
  reserve.expect(1)
  reserve.came()
  reserve.came()
  expect(reserve.kept()).toBe(0)
  reserve.expect(1)
  expect(reserve.kept()).toBe(1)
  reserve.clear()
  expect(reserve.kept()).toBe(0)
})

test('what was left long after the last count is kept, and what was left long ago is not', () => {
  let now = 0
  const reserve = createReserve(20, () => now)
  now = 1_000
  reserve.expect(1)
  expect(reserve.kept()).toBe(1)
  reserve.expect(3)
  now = 2_000
  expect(reserve.kept()).toBe(0)
})

test('a stream of jobs that are each followed by another keeps nothing for long', () => {
  let now = 0
  const reserve = createReserve(20, () => now)
  for (let i = 0; i < 50; i++) reserve.expect(1)
  expect(reserve.kept()).toBe(50)
  for (; now < 100; now += 5) {
    reserve.expect(1)
    reserve.kept()
    reserve.came()
  }
  expect(reserve.kept()).toBe(0)
})
