// `runHandler`: one attempt of one handler, checked as in production, without a client, a broker or a worker.
import { encode, decode } from '../core/codec.js'
import { LONGEST_TIMER } from '../core/duration.js'
import { ConfigurationError, shown } from '../core/errors.js'
import { newId } from '../core/id.js'
import { check, validationError } from '../core/schema.js'
import { refuseUnknown, specOf, type TaskSpec } from '../core/task.js'
import { createLogger } from '../observe/log.js'
import { createPulse } from '../driver/pulse.js'
import { Attempt } from '../worker/attempt.js'
import { createDeadlines } from '../worker/deadlines.js'
import type { BoundHandler, Context, Handler } from '../worker/types.js'

/** Parts of a handler's context that a test gives; the others have the defaults that `runHandler` names. */
export type ContextParts = Partial<Omit<Context, 'job'>> & { job?: Partial<Context['job']> }

const PARTS = ['signal', 'stopping', 'log', 'progress', 'enqueue', 'enqueueMany', 'publish', 'job']
const JOB_PARTS = 'id name queue group attempt maxAttempts crashes enqueuedAt deadline headers'.split(' ')

const deadlines = createDeadlines()

/**
 * Run a handler once. As between a caller and a worker, the input must be JSON that the task's schema takes, the handler
 * gets what its own parse made of it, and the answer is what a receiver's parse made of the result. The task's timeout
 * holds, in real time; middleware and retries are a worker's and play no part.
 *
 * Parts of the context that are not given: `job` is a first attempt enqueued just now, `log` writes nothing, `progress`
 * is checked and forgotten, `signal` aborts at the timeout (one that you give is yours to abort), `stopping` never. `enqueue` and `enqueueMany` are refused:
 * give those of a test client, and look at its `enqueued(task)` afterwards.
 * @throws what the handler threw; ValidationError or PayloadTooLargeError for an input or a result that could not travel;
 * JobTimeoutError; ConfigurationError for what is no handler, or an `enqueue` that was not given
 */
export async function runHandler<Send, Output>(
  handler: Handler<Send, Output>,
  input: NoInfer<Send>,
  ctx: ContextParts = {},
): Promise<Output> {
  const { '~bound': bound, '~schedule': schedule } = handler?.kind === 'handler' ? handler : ({} as Partial<Handler>)
  if (bound === undefined && schedule !== undefined)
    throw new ConfigurationError(
      `runHandler(): schedule "${schedule.name}" only enqueues a task. Run that task's handler, or the schedule with createTestClient() and advance().`,
    )
  if (bound === undefined)
    throw new ConfigurationError(`runHandler(): ${shown(handler)} is no handler. Make it with handle(task, fn).`)
  const { task } = bound
  const spec = specOf(task)
  const body = await sent(spec, `Input of task "${task.name}"`, schedule ? asTravelled(input) : input)
  const { context, abort } = contextOf(bound, spec, input, ctx)
  const attempt = new Attempt({
    bound,
    body,
    context,
    middleware: [],
    deadlines,
    pulse: createPulse(),
    mayBegin: () => true,
    onTimeout: abort,
  })
  // A timeout does not keep a process alive, and a test whose handler hangs should fail rather than end with its process.
  const alive = setInterval(() => {}, LONGEST_TIMER)
  const outcome = await attempt.outcome.finally(() => clearInterval(alive))
  if (outcome.kind === 'given-back') throw new Error('An attempt that nobody gives back was given back.')
  if (outcome.kind !== 'done') throw outcome.error
  return (await received(spec, `Result of task "${task.name}"`, outcome.result)) as Output
}

/** What `enqueue` does with an input before it travels. */
async function sent(spec: TaskSpec, what: string, input: unknown): Promise<string> {
  const checked = await check(spec.input, input)
  if ('issues' in checked) throw validationError(what, checked.issues)
  return encode(input, what)
}

/** A tick with its times as text: nobody enqueues one, so a test gives it as the handler sees it. */
function asTravelled(tick: unknown): unknown {
  return tick === undefined ? undefined : JSON.parse(JSON.stringify(tick))
}

/** What `job.result()` does with a result that has travelled. */
async function received(spec: TaskSpec, what: string, result: string | undefined): Promise<unknown> {
  if (spec.output === undefined) return undefined
  const checked = await check(spec.output, decode(result ?? '', what))
  if ('issues' in checked) throw validationError(what, checked.issues)
  return checked.value
}

function contextOf(
  { task }: BoundHandler,
  spec: TaskSpec,
  input: unknown,
  given: ContextParts,
): { context: Context; abort(reason: Error): void } {
  refuseUnknown('The context of runHandler()', given, PARTS)
  refuseUnknown('ctx.job of runHandler()', given.job ?? {}, JOB_PARTS)
  const timeout = new AbortController()
  const notGiven = (part: string) => () => {
    throw new ConfigurationError(
      `The handler of "${task.name}" called ctx.${part}(), and runHandler() was given none. ` +
        `Give that of a test client: const t = createTestClient(); runHandler(handler, input, { ${part}: t.${part} }).`,
    )
  }
  const group = spec.group?.(input)
  const { job, ...parts } = given
  const context: Context = {
    signal: timeout.signal,
    stopping: new AbortController().signal,
    log: createLogger('silent'),
    async progress(fraction) {
      if (!(fraction >= 0 && fraction <= 1))
        throw new ConfigurationError(`ctx.progress(${fraction}): the fraction is a number from 0 to 1.`)
    },
    enqueue: async () => notGiven('enqueue')(),
    enqueueMany: async () => notGiven('enqueueMany')(),
    publish: async () => notGiven('publish')(),
    ...parts,
    job: {
      id: newId(),
      name: task.name,
      queue: spec.queue,
      attempt: 1,
      maxAttempts: spec.retry.maxAttempts,
      crashes: 0,
      enqueuedAt: new Date(),
      headers: {},
      ...(group !== undefined && { group }),
      ...(spec.timeout !== false && { deadline: new Date(Date.now() + spec.timeout) }),
      ...job,
    },
  }
  return { context, abort: (reason) => timeout.abort(reason) }
}
