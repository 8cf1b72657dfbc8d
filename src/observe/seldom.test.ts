import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { seldom } from './seldom.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('says a thing at once, then once in a while, and each thing for itself', () => {
  const mayTell = seldom(1_000)
  expect([mayTell('a'), mayTell('a'), mayTell('b')]).toEqual([true, false, true])
  vi.advanceTimersByTime(999)
  expect(mayTell('a')).toBe(false)
  vi.advanceTimersByTime(1)
  expect([mayTell('a'), mayTell('a')]).toEqual([true, false])
})
