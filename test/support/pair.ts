// Places for pairs, without a server: a broker without memory in this process, and a store beside it.
import type { Driver, StatefulDriver } from '../../src/driver/driver.js'
import { compose } from '../../src/driver/compose.js'
import { wrapDelivery } from '../../src/driver/wrap.js'
import { memory } from '../../src/drivers/memory/index.js'
import type { Harness } from '../../src/testing/index.js'
import { bareMemory } from './bare.js'
import { sqliteHarness } from './sqlite.js'

let places = 0
let messages = 0
const SEPARATOR = '\u0000'

/** Messages of one job are messages of their own, as on a real broker: a pair may hand a job over more than once. */
function carrier(name: string): Driver {
  const driver = bareMemory({ name: `${name}-broker`, traits: { durable: true, shared: true } })
  return {
    ...driver,
    broker: {
      ...driver.broker,
      publish: async ({ envelopes }) => {
        await driver.broker.publish({
          envelopes: envelopes.map((one) => ({ ...one, id: `${one.id}${SEPARATOR}${++messages}` })),
        })
        return envelopes.map(({ id }) => ({ id, duplicate: false }))
      },
      consume: (o) =>
        driver.broker.consume({
          ...o,
          onDelivery: (delivery) => {
            const { envelope } = delivery
            const id = envelope.id.split(SEPARATOR)[0]!
            o.onDelivery(wrapDelivery(delivery, { envelope: { ...envelope, id } }))
          },
        }),
    },
  }
}

/** The broker of this process with sqlite as its store. */
export const besideSqlite: Harness = {
  name: 'memory+sqlite',
  async create() {
    const place = await sqliteHarness.create()
    const name = `pair-${places++}`
    const parts = (o: object) => ({ broker: carrier(name), store: place.open(o) as StatefulDriver<any> })
    return { ...place, parts, open: (o) => compose<any>(parts(o)) }
  },
}

/** The same with the memory driver as its store. */
export const besideMemory: Harness = {
  name: 'memory+memory',
  async create() {
    const name = `pair-${places++}`
    const parts = (o: object) => ({ broker: carrier(name), store: memory({ ...o, name }) as StatefulDriver<any> })
    return { parts, open: (o) => compose<any>(parts(o)), destroy: async () => {} }
  },
}
