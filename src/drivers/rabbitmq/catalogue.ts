// Which queues and subscriptions there are. RabbitMQ tells that to nobody but its management page, so it is written down in a
// stream of ours: an entry when something is declared that was not there, and one when it is removed.
import type { ConsumeMessage } from 'amqplib'
import { newId } from '../../core/id.js'
import type { Subscription } from '../../driver/events.js'
import type { Outgoing } from './publish.js'
import type { Names } from './topology.js'

type Entry =
  { readonly queue: string; readonly gone?: true } | { readonly subscription: string; readonly spec?: Subscription }

export interface Catalogue {
  queues(): Promise<readonly string[]>
  subscriptions(): Promise<readonly Subscription[]>
  addQueue(name: string): Promise<void>
  removeQueue(name: string): Promise<void>
  setSubscription(spec: Subscription): Promise<void>
  removeSubscription(name: string): Promise<void>
}

export function createCatalogue(o: {
  names(): Names
  read(onMessage: (message: ConsumeMessage, place: number) => void): Promise<void>
  send(messages: readonly Outgoing[]): Promise<void>
}): Catalogue {
  async function look(): Promise<{ queues: Set<string>; subscriptions: Map<string, Subscription> }> {
    const queues = new Set<string>()
    const subscriptions = new Map<string, Subscription>()
    await o.read((message) => {
      const entry = entryOf(message)
      if (!entry) return
      if ('queue' in entry) {
        if (entry.gone) queues.delete(entry.queue)
        else queues.add(entry.queue)
      } else if (entry.spec) subscriptions.set(entry.subscription, entry.spec)
      else subscriptions.delete(entry.subscription)
    })
    return { queues, subscriptions }
  }

  const write = (entry: Entry) => {
    const id = newId()
    const content = Buffer.from(JSON.stringify(entry))
    const options = { persistent: true, contentType: 'application/json', messageId: id, type: 'millrace-catalogue' }
    return o.send([{ exchange: '', key: o.names().catalogue, content, options, id }])
  }

  return {
    queues: async () => [...(await look()).queues].sort(),
    subscriptions: async () =>
      [...(await look()).subscriptions.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    async addQueue(queue) {
      if (!(await look()).queues.has(queue)) await write({ queue })
    },
    removeQueue: (queue) => write({ queue, gone: true }),
    setSubscription: (spec) => write({ subscription: spec.name, spec }),
    removeSubscription: (name) => write({ subscription: name }),
  }
}

function entryOf(message: ConsumeMessage): Entry | undefined {
  try {
    const entry = JSON.parse(message.content.toString()) as Entry
    return typeof entry === 'object' && entry !== null ? entry : undefined
  } catch {
    return undefined
  }
}
