// Drains one end into another, and stops dead at the given step of its nth batch: it says so and waits to be killed.
// An end: sqlite:FILE, amqp://…, or both with a space between.
import { connect, drain } from 'millrace'
import { compose } from 'millrace/driver'
import { optionsFromUrl, rabbitmq } from 'millrace/rabbitmq'
import { sqlite } from 'millrace/sqlite'

const [from, to, stop, nth = '1'] = process.argv.slice(2)
const driverOf = (end) => {
  const [broker, store] = end.split(' ').map((url) => {
    return url.startsWith('sqlite:') ? sqlite({ file: url.slice('sqlite:'.length) }) : rabbitmq(optionsFromUrl(url))
  })
  return store ? compose({ broker, store }) : broker
}
let batches = 0
const stopAt = async (step) => {
  if (stop !== step || batches !== Number(nth)) return
  console.log('stopped')
  setInterval(() => {}, 60_000)
  await new Promise(() => {})
}

const source = driverOf(from)
const destination = driverOf(to)
const { leaving } = source
const client = await connect({
  ...source,
  ...(leaving && {
    leaving: {
      ...leaving,
      async gone(o) {
        await leaving.gone(o)
        await stopAt('gone')
      },
    },
  }),
})
const target = await connect({
  ...destination,
  broker: {
    ...destination.broker,
    async publish(o) {
      batches += 1
      await stopAt('held')
      const receipts = await destination.broker.publish(o)
      await stopAt('published')
      return receipts
    },
  },
})
const { moved } = await drain({ from: client, to: target })
console.log(`moved ${moved}`)
await client.close()
await target.close()
