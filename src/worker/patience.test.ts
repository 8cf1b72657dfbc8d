import { expect, it } from 'vitest'
import { createPatience } from './patience.js'

it('is short where jobs come at once, longer on a slow link, and never long', () => {
  const patience = createPatience()
  expect(patience.ms).toBe(5)
  patience.answered(0.4)
  expect(patience.ms).toBe(5)
  for (let n = 0; n < 16; n++) patience.answered(20)
  expect(patience.ms).toBe(60)
  for (let n = 0; n < 16; n++) patience.answered(5_000)
  expect(patience.ms).toBe(100)
})

it('is not made longer by queues that have nothing while another one answers', () => {
  const patience = createPatience()
  for (let n = 0; n < 40; n++) patience.answered(n % 3 === 0 ? 2 : 800)
  expect(patience.ms).toBe(6)
})
