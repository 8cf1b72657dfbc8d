// Where a program's jobs lie: in a file (`url`), with a broker (`broker`), or with a broker and a file as its store.
import { setTimeout as sleep } from 'node:timers/promises'
import { optionsFromUrl, sqlite } from 'millrace/sqlite'
import { options } from './effects.mjs'

export async function placeOf({ url, broker }) {
  if (broker === undefined) return sqlite(optionsFromUrl(url))
  const rabbit = await import('millrace/rabbitmq')
  const driver = rabbit.rabbitmq(rabbit.optionsFromUrl(broker))
  if (url === undefined) return driver
  const { compose } = await import('millrace/driver')
  return compose({ broker: driver, store: sqlite(optionsFromUrl(url)) })
}

/** What a supervisor does for a program that is started while the broker is away: start it again. */
export async function patient(connecting) {
  for (;;) {
    try {
      return await connecting()
    } catch (error) {
      if (options.broker === undefined || error.code !== 'ERR_BROKER_UNAVAILABLE') throw error
      console.error(`could not connect: ${error.message}`)
      await sleep(200)
    }
  }
}
