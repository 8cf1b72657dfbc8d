// A broker that remembers nothing, without a server: the memory driver with its memory taken away. It moves jobs and events,
// shows its dead jobs and answers those who asked for a reply; that is all that a bare broker can do.
import { REPLY_HEADER } from '../../src/core/envelope.js'
import { memory, type MemoryOptions } from '../../src/drivers/memory/index.js'
import { beatInterval } from '../../src/driver/leases.js'
import { wrapDelivery } from '../../src/driver/wrap.js'
import type { Reply } from '../../src/driver/replies.js'
import { INFO } from '../../src/testing/conformance/stage.js'
import type { Broker, Delivery, Driver, Traits } from '../../src/driver/driver.js'

type Listeners = Map<string, (reply: Reply) => void>

/** Who waits for replies, for each name that drivers share; as the jobs of `memory({ name })`. */
const shared = new Map<string, Listeners>()

/** Drivers of one name in one process share their jobs, as those of `memory({ name })` do. */
export function bareMemory(options: MemoryOptions & { traits?: Partial<Traits> } = {}): Driver {
  const { traits: own = {}, ...rest } = options
  const { jobs, workers, broker, events, connect, close, setup, ping, traits } = memory(rest)
  const beats = new Map<string, NodeJS.Timeout>()
  let listeners: Listeners = new Map()

  /** The memory broker hands over to whoever beats; here that is the driver, as long as it is open. */
  async function beatFor(worker: string): Promise<void> {
    if (beats.has(worker)) return
    const beat = () => workers.beat({ worker, info: { ...INFO, queues: [] } })
    beats.set(
      worker,
      setInterval(() => void beat(), beatInterval(traits.lease)),
    )
    await beat()
  }

  function tell(delivery: Delivery, reply: Reply): void {
    const { id, headers } = delivery.envelope
    if (headers[REPLY_HEADER] !== undefined) listeners.get(id)?.(reply)
  }

  const wrapped = (delivery: Delivery): Delivery =>
    wrapDelivery(delivery, {
      note: () => {},
      async ack(o = {}) {
        await delivery.ack(o)
        const { id } = delivery.envelope
        // What has ended is forgotten.
        await jobs.move({ ids: [id], states: ['completed'], to: 'deleted', limit: 1 })
        if (!o.elsewhere) tell(delivery, { state: 'completed', ...(o.result !== undefined && { result: o.result }) })
      },
      async dead(o) {
        await delivery.dead(o)
        tell(delivery, { state: 'dead', ...o, attempt: delivery.attempt })
      },
    })

  const bare: Broker = {
    ...broker,
    publish: ({ envelopes }) =>
      broker.publish({ envelopes: envelopes.map((one) => ({ ...one, priority: levelOf(one.priority) })) }),
    async consume(o) {
      await beatFor(o.worker)
      return broker.consume({ ...o, onDelivery: (delivery) => o.onDelivery(wrapped(delivery)) })
    },
  }

  return {
    name: 'bare',
    traits: { ...traits, priorities: 3, unique: false, remembers: false, ...own },
    broker: bare,
    events,
    deadLetters: {
      list: (o) => jobs.list({ ...o, states: ['dead'] }),
      move: (o) => jobs.move({ ...o, states: ['dead'] }),
    },
    replies: {
      async expect({ id, onReply }) {
        listeners.set(id, (reply) => {
          listeners.delete(id)
          onReply(reply)
        })
        return () => void listeners.delete(id)
      },
    },
    async connect(o) {
      await connect(o)
      if (rest.name === undefined) return
      const key = `${rest.name}/${o.namespace ?? ''}`
      listeners = shared.get(key) ?? listeners
      shared.set(key, listeners)
    },
    setup,
    ping,
    /** A link that is cut: what is in hand goes to others, as after a crash. */
    async close() {
      for (const timer of beats.values()) clearInterval(timer)
      for (const worker of beats.keys()) await workers.leave({ worker, crashed: true })
      await close()
    },
  }
}

/** Below the default, the default, and above it. */
const levelOf = (priority: number) => (priority < 4 ? 0 : priority === 4 ? 4 : 9)
