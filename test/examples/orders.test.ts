// `npm run demo`: the whole way of an event, on real processes and real requests; it ends by itself.
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, it } from 'vitest'
import { playOrders } from '../support/orders.js'

it('prints each step and the results coming back, leaves nothing behind, and ends with 0', async () => {
  const before = folders()
  await playOrders()
  expect(folders()).toEqual(before)
}, 120_000)

const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('millrace-orders-'))
