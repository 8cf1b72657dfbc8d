// A broker has no memory of what was done: what is left in it is counted, and what is gone was acknowledged.
import type { Channel } from 'amqplib'
import type { Counts } from '../subject.js'

/**
 * Asks the broker for what its queues hold. Handlers count beside it, each job once: `proven` compares the two.
 * @param enqueued by this process, each confirmed
 */
export async function remains(
  channel: Channel,
  enqueued: number,
  queues: { readonly waiting: readonly string[]; readonly dead: readonly string[] },
): Promise<Counts> {
  const sum = async (names: readonly string[]) => {
    let messages = 0
    for (const name of names) messages += (await channel.checkQueue(name)).messageCount
    return messages
  }
  const [waiting, dead] = [await sum(queues.waiting), await sum(queues.dead)]
  return { enqueued, completed: enqueued - waiting - dead, dead, waiting }
}
