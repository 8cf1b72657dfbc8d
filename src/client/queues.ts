// Queues as an operator sees and handles them. Pausing is a shared fact that every worker reads with its beat.
import { ConfigurationError } from '../core/errors.js'
import { PAUSED_PREFIX, type StatefulDriver } from '../driver/driver.js'
import type { Session } from './session.js'
import type { ClientCore, QueueInfo } from './types.js'

export function createQueueVerbs<Tx>(session: Session<Tx>): ClientCore<Tx>['queues'] {
  async function known(name: string): Promise<StatefulDriver<Tx>> {
    const driver = await session.open()
    const names = await driver.broker.list()
    if (names.includes(name)) return driver
    const there = names.length === 0 ? 'There are none yet' : `There are: ${names.join(', ')}`
    throw new ConfigurationError(
      `There is no queue "${name}". ${there}. A queue exists once a job was enqueued to it or a worker reads it.`,
    )
  }

  return {
    async list() {
      const driver = await session.open()
      const names = await driver.broker.list()
      return Promise.all(names.map((name) => queueInfo(driver, name)))
    },
    stats: async (name) => queueInfo(await known(name), name),
    async pause(name) {
      const { state } = await known(name)
      await state.set({ key: PAUSED_PREFIX + name, value: new Date().toISOString() })
    },
    async resume(name) {
      const { state } = await known(name)
      await state.delete({ key: PAUSED_PREFIX + name })
    },
    purge: async (name) => (await known(name)).broker.purge({ queue: name }),
  }
}

/** One queue, whether it is declared or not. */
export async function queueInfo({ broker, state, traits }: StatefulDriver<any>, name: string): Promise<QueueInfo> {
  const [stats, paused] = await Promise.all([
    broker.stats({ queue: name }),
    traits.remembers ? state.get({ key: PAUSED_PREFIX + name }) : undefined, // without memory nothing can be paused
  ])
  return {
    name,
    paused: paused !== undefined,
    ready: stats.ready,
    scheduled: stats.scheduled ?? 0,
    retrying: stats.retrying ?? 0,
    active: stats.active ?? 0,
    dead: stats.dead ?? 0,
    ...(stats.oldestMs !== undefined && { oldestMs: stats.oldestMs }),
  }
}
