// A client without workers: its parts over one session.
import type { Driver } from '../driver/driver.js'
import { createDoctor } from './doctor.js'
import { createEventVerbs } from './events.js'
import { createProducer } from './enqueue.js'
import { jobsOf } from './job.js'
import { createJobVerbs } from './jobs.js'
import { createQueueVerbs } from './queues.js'
import { createResults, type ResultWaiters } from './result.js'
import { createScheduleVerbs } from './schedules.js'
import { createSession, type Session, type Surroundings } from './session.js'
import { createSubscriptionVerbs } from './subscriptions.js'
import type { ClientCore, ClientOptions } from './types.js'
import { createWorkerVerbs } from './workers.js'

/** The parts of a client that a worker needs besides its public face. */
export interface ClientParts<Tx> {
  readonly session: Session<Tx>
  readonly results: ResultWaiters
  readonly core: Omit<ClientCore<Tx>, 'connect' | 'close' | typeof Symbol.asyncDispose>
}

/** @param load gives the driver; called once, at first use. */
export function createClientParts<Tx>(
  load: () => Promise<Driver<Tx>>,
  options: ClientOptions,
  around?: Surroundings,
): ClientParts<Tx> {
  const session = createSession(load, options, around)
  const results = createResults(session)
  return {
    session,
    results,
    core: {
      ...createProducer(session, results),
      job: (task, id) => jobsOf(session, results, task)(id, false),
      jobs: createJobVerbs(session),
      queues: createQueueVerbs(session),
      events: createEventVerbs(session),
      subscriptions: createSubscriptionVerbs(session),
      schedules: createScheduleVerbs(session),
      workers: createWorkerVerbs(session),
      doctor: createDoctor(session),
    },
  }
}
