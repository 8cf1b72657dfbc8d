// A broker without a store: ports in the place of its memory, which refuse in words that a user understands.
import { UnsupportedError } from '../core/errors.js'
import type { Driver, JobQuery, Jobs, State, StatefulDriver, Workers } from './driver.js'
import type { EventLog, Events } from './events.js'

/** That a driver cannot do what was asked for, in the user's words (`pause queues`), and what helps. */
export function needsStore(driver: { readonly name: string }, what: string): UnsupportedError {
  return new UnsupportedError(
    `The ${driver.name} driver cannot ${what}: it only moves jobs, and remembers none. Choose another driver, or add a store ` +
      '(connect({ broker, store }), or MILLRACE_STORE).',
  )
}

/**
 * The driver with every port there. Where it has none, there is one that answers what is true without memory, and throws
 * `UnsupportedError` for the rest. A driver that has them all is returned as it is.
 */
export function statefulOf<Tx>(driver: Driver<Tx>): StatefulDriver<Tx> {
  const { jobs, workers, state, signals, events, eventLog } = driver
  if (jobs && workers && state && signals && events && eventLog) return driver as StatefulDriver<Tx>
  const refuse: Refuse = async (what) => {
    throw needsStore(driver, what)
  }
  // Part by part, as `guard` does: a driver may be an object of a class.
  return {
    name: driver.name,
    traits: driver.traits,
    broker: driver.broker,
    ...(driver.ledger && { ledger: driver.ledger }),
    ...(driver.leaving && { leaving: driver.leaving }),
    ...(driver.delayed && { delayed: driver.delayed }),
    ...(driver.deadLetters && { deadLetters: driver.deadLetters }),
    ...(driver.replies && { replies: driver.replies }),
    connect: (o) => driver.connect(o),
    setup: () => driver.setup(),
    ping: () => driver.ping(),
    ...(driver.inspect && { inspect: (o) => driver.inspect!(o) }),
    close: () => driver.close(),
    jobs: jobs ?? deadJobs(driver, refuse),
    workers: workers ?? unseen(driver, refuse),
    state: state ?? noState(refuse),
    signals: signals ?? { on: () => () => {} },
    events: events ?? noEvents(refuse),
    eventLog: eventLog ?? noLog(refuse),
  }
}

type Refuse = (what: string) => Promise<never>

/** Dead jobs looked at with one call while they are counted. */
const PAGE = 500

/** The dead ones are all that is known. */
function deadJobs({ deadLetters }: Driver<any>, refuse: Refuse): Jobs {
  /** Who names ids means these jobs, in whichever of the states that are asked for. */
  const onlyDead = ({ ids, states, worker, suspect, blocked }: JobQuery) =>
    (ids !== undefined
      ? (states?.includes('dead') ?? true)
      : states !== undefined && states.every((one) => one === 'dead')) &&
    worker === undefined &&
    suspect === undefined &&
    blocked === undefined
  const list: Jobs['list'] = async ({ states, ...q }) => {
    if (!deadLetters) return refuse('list jobs')
    if (!onlyDead({ ...q, ...(states && { states }) })) return refuse("list jobs in other states than 'dead'")
    return states?.length === 0 ? { jobs: [] } : deadLetters.list(q)
  }
  return {
    list,
    async get({ ids }) {
      if (!deadLetters) return refuse('look up jobs')
      const { jobs } = ids.length === 0 ? { jobs: [] } : await deadLetters.list({ ids, limit: ids.length })
      // Of the others nobody knows whether they are there: "no such job" would be a lie.
      const stray = ids.find((id) => !jobs.some(({ envelope }) => envelope.id === id))
      return stray === undefined ? jobs : refuse(`look up job ${stray}, which is none of its dead ones`)
    },
    async count(q) {
      let n = 0
      let cursor: string | undefined
      do {
        const page = await list({ ...q, limit: PAGE, ...(cursor !== undefined && { cursor }) })
        n += page.jobs.length
        cursor = page.cursor
      } while (cursor !== undefined)
      return n
    },
    async move({ to, states, ...q }) {
      if (to === 'cancelled') return refuse('cancel jobs')
      const verb = to === 'ready' ? 'retry' : 'delete'
      if (!deadLetters) return refuse(`${verb} jobs`)
      if (!onlyDead({ ...q, ...(states && { states }) })) return refuse(`${verb} jobs in other states than 'dead'`)
      return states?.length === 0 ? { moved: [] } : deadLetters.move({ ...q, to })
    },
    prune: async () => 0,
    logs: () => refuse('keep what handlers log'),
  }
}

/** Nobody sees a worker, and nobody can tell it anything; its beat only asks whether the broker answers. */
function unseen(driver: Driver<any>, refuse: Refuse): Workers {
  return {
    async beat() {
      await driver.ping()
      return { revoked: [], paused: [] }
    },
    leave: async () => {},
    list: () => refuse('tell which workers there are'),
  }
}

/** What the entries of `State` are for, by the beginning of their keys. */
const MEANT: readonly (readonly [string, string])[] = [
  ['paused/', 'pause or resume queues'],
  ['schedule', 'keep schedules'],
  ['task/', 'tell which tasks there are'],
  ['event/', 'tell which events there are'],
  ['subscription/', 'tell what subscriptions are for'],
]

function noState(refuse: Refuse): State {
  const deny = (key: string) => refuse(MEANT.find(([prefix]) => key.startsWith(prefix))?.[1] ?? 'keep shared state')
  return {
    get: ({ key }) => deny(key),
    set: ({ key }) => deny(key),
    delete: ({ key }) => deny(key),
    list: ({ prefix }) => deny(prefix),
  }
}

function noEvents(refuse: Refuse): Events {
  return {
    declare: () => refuse('keep subscriptions'),
    subscriptions: () => refuse('keep subscriptions'),
    remove: () => refuse('keep subscriptions'),
    publish: () => refuse('publish events'),
  }
}

function noLog(refuse: Refuse): EventLog {
  return {
    list: () => refuse('keep a log of events'),
    end: () => refuse('keep a log of events'),
    replay: () => refuse('replay events'),
    prune: async () => 0,
  }
}
