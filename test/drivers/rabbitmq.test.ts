// The RabbitMQ driver, without a store, passes the suite.
import { afterAll, describe, it } from 'vitest'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { conformance } from '../../src/testing/index.js'
import { describeRabbitmq } from '../support/rabbitmq.js'
import { rabbitmqPlace } from '../support/rabbitmq-places.js'
import { resultsOf } from '../support/table.js'

const results = resultsOf('rabbitmq')
await describeRabbitmq('the suite', (on) => {
  const create = async () => {
    const place = await rabbitmqPlace(on)
    const { broker, ...rest } = place
    return {
      ...rest,
      open: ({ maxCrashes }: { maxCrashes?: number }) =>
        rabbitmq({ ...broker, ...(maxCrashes !== undefined && { maxCrashes }) }),
    }
  }
  conformance({ name: 'rabbitmq', create }, { describe, it }, results.add)
})
afterAll(results.save)
