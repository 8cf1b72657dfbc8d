// What a handler gets. Controllers and producers are made only when a handler asks for them: most never do.
import { createProducer } from '../client/enqueue.js'
import type { ClientParts } from '../client/client.js'
import type { Producer } from '../client/types.js'
import { ConfigurationError } from '../core/errors.js'
import type { TaskSpec } from '../core/task.js'
import { LINE_LENGTH, type Delivery } from '../driver/driver.js'
import { tee, textOf, withFields, type Logger } from '../observe/log.js'
import type { Context } from './types.js'

const MAX_NOTE = 500

/** A context, and the worker's hand on its signal. */
export interface LiveContext {
  readonly context: Context
  abort(reason: Error): void
}

export function createContext<Tx>(o: {
  readonly parts: ClientParts<Tx>
  readonly delivery: Delivery<Tx>
  readonly spec: TaskSpec
  readonly stopping: AbortSignal
  readonly deadline: number | undefined
}): LiveContext {
  const { delivery, spec, parts } = o
  const { envelope } = delivery
  let controller: AbortController | undefined
  let aborted: Error | undefined
  let producer: Producer<any> | undefined
  let log: Logger | undefined
  /** Debug lines are for who reads the log of the process; the others stay with the job. */
  const keep = (level: keyof Logger, said: object | string, m?: string) => {
    if (level === 'debug') return
    try {
      const { attempt } = delivery
      delivery.note({ log: [{ at: Date.now(), level, text: cut(oneLine(textOf(said, m)), LINE_LENGTH), attempt }] })
    } catch {
      // a field whose getter throws: a job must not fail for its log
    }
  }
  const producing = () => (producer ??= createProducer(parts.session, parts.results, envelope))

  const context: Context = {
    get signal() {
      if (!controller) {
        controller = new AbortController()
        if (aborted) controller.abort(aborted)
      }
      return controller.signal
    },
    stopping: o.stopping,
    get log() {
      const { id: job, name: task } = envelope
      return (log ??= tee(withFields(parts.session.log, { job, task, attempt: delivery.attempt }), keep))
    },
    async progress(fraction, note) {
      if (!(fraction >= 0 && fraction <= 1))
        throw new ConfigurationError(`ctx.progress(${fraction}): the fraction is a number from 0 to 1.`)
      delivery.note({ progress: fraction, ...(note !== undefined && { note: note.slice(0, MAX_NOTE) }) })
    },
    enqueue: (...args) => producing().enqueue(...args),
    enqueueMany: (...args) => producing().enqueueMany(...args),
    job: {
      id: envelope.id,
      name: envelope.name,
      queue: envelope.queue,
      attempt: delivery.attempt,
      maxAttempts: spec.retry.maxAttempts,
      crashes: delivery.crashes,
      enqueuedAt: new Date(envelope.enqueuedAt),
      headers: envelope.headers,
      ...(envelope.group !== undefined && { group: envelope.group }),
      ...(o.deadline !== undefined && { deadline: new Date(o.deadline) }),
    },
  }
  return {
    context,
    abort(reason) {
      aborted ??= reason
      controller?.abort(reason)
    },
  }
}

const oneLine = (text: string) => text.replace(/\s*[\r\n]+\s*/g, ' ')
const cut = (text: string, length: number) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`)
