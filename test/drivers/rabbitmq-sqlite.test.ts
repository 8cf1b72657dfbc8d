// RabbitMQ with sqlite as its store passes the suite.
import { afterAll, describe, it } from 'vitest'
import { compose } from '../../src/driver/compose.js'
import type { StatefulDriver } from '../../src/driver/driver.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { conformance } from '../../src/testing/index.js'
import { describeRabbitmq } from '../support/rabbitmq.js'
import { rabbitmqPlace } from '../support/rabbitmq-places.js'
import { sqliteHarness } from '../support/sqlite.js'
import { resultsOf } from '../support/table.js'

const results = resultsOf('rabbitmq+sqlite')
await describeRabbitmq('the suite', (on) => {
  const create = async () => {
    const [carrier, place] = [await rabbitmqPlace(on), await sqliteHarness.create()]
    const parts = (o: object) => ({ broker: rabbitmq(carrier.broker), store: place.open(o) as StatefulDriver<any> })
    return {
      ...place,
      parts,
      open: (o: object) => compose<any>(parts(o)),
      brokerOutage: carrier.outage,
      async destroy() {
        await carrier.destroy()
        await place.destroy()
      },
    }
  }
  conformance({ name: 'rabbitmq+sqlite', create }, { describe, it }, results.add)
})
afterAll(results.save)
