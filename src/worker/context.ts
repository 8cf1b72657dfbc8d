// What a handler gets. There is one for each job, so everything in it is made only when a handler asks for it: most ask for
// little.
import { createProducer } from '../client/enqueue.js'
import type { ClientParts } from '../client/client.js'
import type { Producer } from '../client/types.js'
import { ConfigurationError } from '../core/errors.js'
import type { TaskSpec } from '../core/task.js'
import { LINE_LENGTH, type Delivery } from '../driver/driver.js'
import { tee, textOf, withFields, type Logger } from '../observe/log.js'
import type { Context } from './types.js'

const MAX_NOTE = 500

export interface ContextOptions {
  readonly parts: ClientParts<any>
  readonly delivery: Delivery<any>
  readonly spec: TaskSpec
  readonly stopping: AbortSignal
  /** Of the attempt that begins now, in milliseconds. */
  readonly timeout: number | false
}

/** A context, with the worker's hand on its signal. What it hands out may be taken out of it (`{ log, signal }`). */
export class JobContext implements Context {
  readonly #o: ContextOptions
  readonly #deadline: number | undefined
  #controller: AbortController | undefined
  #aborted: Error | undefined
  #producer: Producer<any> | undefined
  #log: Logger | undefined
  #job: Context['job'] | undefined

  constructor(o: ContextOptions) {
    this.#o = o
    this.#deadline = o.timeout === false ? undefined : Date.now() + o.timeout
  }

  /** Abort its signal, also if nobody has asked for it yet. */
  static abort(context: JobContext, reason: Error): void {
    context.#aborted ??= reason
    context.#controller?.abort(reason)
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#aborted)
    }
    return this.#controller.signal
  }

  get stopping(): AbortSignal {
    return this.#o.stopping
  }

  get log(): Logger {
    const { parts, delivery } = this.#o
    const { id: job, name: task } = delivery.envelope
    const fields = { job, task, attempt: delivery.attempt }
    return (this.#log ??= tee(withFields(parts.session.log, fields), (...line) => keepLine(this.#o, ...line)))
  }

  get progress(): Context['progress'] {
    return async (fraction, note) => {
      if (!(fraction >= 0 && fraction <= 1))
        throw new ConfigurationError(`ctx.progress(${fraction}): the fraction is a number from 0 to 1.`)
      if (!this.#o.parts.session.remembers) return tellOnce(this.#o.parts.session)
      this.#o.delivery.note({ progress: fraction, ...(note !== undefined && { note: note.slice(0, MAX_NOTE) }) })
    }
  }

  get enqueue(): Context['enqueue'] {
    return this.#producing.enqueue
  }

  get enqueueMany(): Context['enqueueMany'] {
    return this.#producing.enqueueMany
  }

  get publish(): Context['publish'] {
    return this.#producing.publish
  }

  get job(): Context['job'] {
    return (this.#job ??= jobFacts(this.#o, this.#deadline))
  }

  get #producing(): Producer<any> {
    const { parts, delivery } = this.#o
    return (this.#producer ??= createProducer(parts.session, parts.results, delivery.envelope))
  }
}

const told = new WeakSet<object>()

/** A handler need not know on which driver it runs, so it does not fail for what nobody keeps; but it is said. */
function tellOnce(session: ClientParts<any>['session']): void {
  if (told.has(session)) return
  told.add(session)
  session.log.warn('ctx.progress() is kept by nobody here: the driver remembers no jobs. To see it, add a store.')
}

/** Debug lines are for who reads the log of the process; the others stay with the job. */
function keepLine({ delivery, parts }: ContextOptions, level: keyof Logger, o: object | string, m?: string): void {
  if (level === 'debug' || !parts.session.remembers) return
  try {
    const text = cut(oneLine(textOf(o, m)), LINE_LENGTH)
    delivery.note({ log: [{ at: parts.session.around.now(), level, text, attempt: delivery.attempt }] })
  } catch {
    // a field whose getter throws: a job must not fail for its log
  }
}

const oneLine = (text: string) => text.replace(/\s*[\r\n]+\s*/g, ' ')
const cut = (text: string, length: number) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`)

function jobFacts({ delivery, spec }: ContextOptions, deadline: number | undefined): Context['job'] {
  const { envelope } = delivery
  return {
    id: envelope.id,
    name: envelope.name,
    queue: envelope.queue,
    attempt: delivery.attempt,
    maxAttempts: spec.retry.maxAttempts,
    crashes: delivery.crashes,
    enqueuedAt: new Date(envelope.enqueuedAt),
    headers: envelope.headers,
    ...(envelope.group !== undefined && { group: envelope.group }),
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
  }
}
