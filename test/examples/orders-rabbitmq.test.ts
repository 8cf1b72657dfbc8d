// The same demo on RabbitMQ with SQLite as its store: nothing but two variables differs.
import { join } from 'node:path'
import { it } from 'vitest'
import { useFolder } from '../support/folder.js'
import { playOrders } from '../support/orders.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

await describeRabbitmq('npm run demo', (rabbit) => {
  const folder = useFolder()
  it('takes the same steps, with the same results', async () => {
    await playOrders({ MILLRACE_URL: rabbit.url, MILLRACE_STORE: `sqlite:${join(folder(), 'orders.db')}` })
  }, 180_000)
})
