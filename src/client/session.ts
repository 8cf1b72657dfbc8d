// What the parts of a client share: the driver, dialled at first use, and the options with their defaults.
import { toMs } from '../core/duration.js'
import type { Envelope } from '../core/envelope.js'
import { ClientClosedError, ConfigurationError } from '../core/errors.js'
import { checkName } from '../core/name.js'
import { keepMs, refuseUnknown } from '../core/task.js'
import { statefulOf } from '../driver/bare.js'
import type { Driver, StatefulDriver } from '../driver/driver.js'
import { guard } from '../driver/guard.js'
import { createLogger, unbreakable, type Logger } from '../observe/log.js'
import type { ClientOptions, EnqueueOptions } from './types.js'

const DAY = 86_400_000

/** What a client finds around it, besides its driver: time and chance. A test brings its own. */
export interface Surroundings {
  /** Epoch milliseconds. */
  now(): number
  /** From 0 to 1, drawn anew for each call. */
  random(): number
  /** Told of every envelope that is made, and the options it was made of, before it is published. */
  readonly made?: (envelope: Envelope, options: EnqueueOptions<any>) => void
}

const REAL: Surroundings = { now: () => Date.now(), random: () => Math.random() }

export interface Session<Tx> {
  readonly around: Surroundings
  readonly log: Logger
  /** How long finished jobs are kept, and events in the log; milliseconds. */
  readonly keep: { readonly completed: number; readonly dead: number; readonly log: number }
  /** The driver, connected. Dials at the first call, and again after one that failed. */
  open(): Promise<StatefulDriver<Tx>>
  /** The driver if it is connected already: for calls that must not wait. */
  opened(): StatefulDriver<Tx>
  /** Its driver remembers jobs. True until it is known. */
  readonly remembers: boolean
  readonly closed: boolean
  close(): Promise<void>
}

const KNOWN = ['namespace', 'migrate', 'log', 'publishTimeout', 'retention', 'eventLog']

/** @param load gives the driver; called once, at first use. */
export function createSession<Tx>(load: () => Promise<Driver<Tx>>, options: ClientOptions, around = REAL): Session<Tx> {
  refuseUnknown('createClient()', options, KNOWN)
  const keep = {
    completed: DAY,
    dead: 30 * DAY,
    log: toMs(options.eventLog ?? '7d', 'eventLog'),
    ...keepMs(options.retention),
  }
  const publishTimeout = toMs(options.publishTimeout ?? '10s', 'publishTimeout')
  if (options.namespace !== undefined) checkName('The namespace', options.namespace)
  const log = unbreakable(options.log ?? createLogger())
  let dialling: Promise<StatefulDriver<Tx>> | undefined
  let driver: StatefulDriver<Tx> | undefined
  let closing: Promise<void> | undefined

  async function dial(): Promise<StatefulDriver<Tx>> {
    const guarded = guard(statefulOf(await load()))
    await guarded.connect({
      ...(options.namespace !== undefined && { namespace: options.namespace }),
      migrate: options.migrate ?? true,
      publishTimeout,
      log: (level, message, fields = {}) => log[level](fields, message),
    })
    driver = guarded
    return guarded
  }

  return {
    around,
    log,
    keep,
    get remembers() {
      return driver?.traits.remembers ?? true
    },
    get closed() {
      return closing !== undefined
    },
    async open() {
      if (closing) throw new ClientClosedError()
      if (driver) return driver
      dialling ??= dial().catch((error: unknown) => {
        dialling = undefined
        throw error
      })
      return dialling
    },
    opened() {
      if (closing) throw new ClientClosedError()
      if (driver) return driver
      throw new ConfigurationError(
        'This client is not connected yet: `await client.connect()` before a call with { tx }.',
      )
    },
    close: () =>
      (closing ??= (async () => {
        const dialled = await dialling?.catch(() => undefined)
        await dialled?.close()
      })()),
  }
}
