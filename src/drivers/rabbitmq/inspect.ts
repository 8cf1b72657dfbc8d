// What only this driver can know of its broker's health, asked over AMQP alone. Nothing here changes anything.
import type { ChannelModel } from 'amqplib'
import { messageOf } from '../../core/errors.js'
import type { Finding } from '../../driver/driver.js'
import { grant } from './errors.js'
import type { Link, Live } from './link.js'
import type { RabbitmqSettings } from './options.js'
import { countsOf, missingPermissions } from './probe.js'
import { DELAY_LEVELS, levelsOf, queuesOf, type Names } from './topology.js'

export interface InspectOptions {
  readonly publishLink: Link
  readonly consumeLink: Link
  readonly settings: RabbitmqSettings
  readonly names: Names
  /** What has been declared. Asked only when there is something to read it from. */
  declared(): Promise<{ readonly queues: readonly string[]; readonly subscriptions: readonly string[] }>
  /** Milliseconds to wait for a connection. */
  readonly within: number
  /** Look into the delay network and at every level of every queue as well. */
  readonly deep: boolean
  /** A store keeps the books of the jobs: it tells what waits for whom, and there are no suspects here. */
  readonly carries: boolean
}

/** Queues of RabbitMQ that belong to one queue or subscription of ours, taken together. */
interface Line {
  readonly label: string
  readonly messages: number
  readonly consumers: number
}

/** What was declared, and what of it is not there. */
interface Completeness {
  readonly lost: readonly string[]
  readonly unsure: readonly string[]
  readonly queues: number
  readonly subscriptions: number
}

/** Below this, a long header of a job does not fit into a frame. */
const SMALL_FRAME = 65_536

/** @throws BrokerUnavailableError when the broker cannot be reached */
export async function inspectRabbitmq(o: InspectOptions): Promise<readonly Finding[]> {
  return o.publishLink.use({ within: o.within }, async (live) => {
    const { connection } = live
    // A connection that is blocked answers nothing, not even what is asked without a message.
    const missing = await unlessBlocked(o.publishLink, missingPermissions(connection, o.names.prefix))
    if (missing === undefined) return [version(live), links(o), blocked(o)]
    const there = await countsOf(connection, o.names.catalogue)
    return [
      version(live),
      links(o),
      blocked(o),
      permissions(missing, o),
      ...(there === undefined ? [notSetUp(o)] : await topology(connection, o)),
    ]
  })
}

async function unlessBlocked<T>(link: Link, work: Promise<T>): Promise<T | undefined> {
  let off = () => {}
  const over = new Promise<undefined>((resolve) => {
    off = link.onBlocked((reason) => reason !== undefined && resolve(undefined))
    if (link.blocked !== undefined) resolve(undefined)
  })
  try {
    return await Promise.race([work, over])
  } finally {
    off()
  }
}

function version({ server }: Live): Finding {
  const facts = { version: server.version, frameMax: server.frameMax }
  const message = `RabbitMQ ${server.version} at ${server.at}.`
  if (server.frameMax >= SMALL_FRAME) return { code: 'rabbitmq-version', level: 'ok', message, facts }
  return {
    code: 'rabbitmq-version',
    level: 'warning',
    message: `${message} Its frames hold only ${server.frameMax} bytes, so that a job with long headers is refused.`,
    advice: 'Set frame_max = 131072 in rabbitmq.conf, which is its default.',
    facts,
  }
}

function links({ publishLink, consumeLink }: InspectOptions): Finding {
  const code = 'rabbitmq-links'
  const state = (link: Link) => (link.live ? 'up' : link.trouble === undefined ? 'not in use' : 'down')
  const facts = { publish: state(publishLink), consume: state(consumeLink) }
  if (consumeLink.live || consumeLink.trouble === undefined)
    return { code, level: 'ok', message: `Publishing: ${facts.publish}. Consuming: ${facts.consume}.`, facts }
  return {
    code,
    level: 'error',
    message: `The connection that consumes is down. ${consumeLink.trouble}`,
    advice: 'It is dialled again by itself; look at the reason it gives.',
    facts,
  }
}

function blocked({ publishLink }: InspectOptions): Finding {
  const code = 'rabbitmq-blocked'
  if (publishLink.blocked === undefined) return { code, level: 'ok', message: 'The broker takes messages.' }
  return {
    code,
    level: 'error',
    message: `The broker takes no messages: ${publishLink.blocked}.`,
    advice: 'Free memory or disk on the broker, or raise its limits. See: rabbitmqctl status',
  }
}

function permissions(missing: readonly string[], { settings, names }: InspectOptions): Finding {
  const code = 'rabbitmq-permissions'
  if (missing.length === 0)
    return { code, level: 'ok', message: `The user "${settings.username}" may do what is needed.` }
  return {
    code,
    level: 'error',
    message: `In vhost "${settings.vhost}" the user "${settings.username}" may not ${missing.map((one) => (one === 'default exchange' ? 'publish to the default exchange' : `${one} what begins with ${names.prefix}`)).join(', nor ')}`,
    advice: `Run: ${grant(settings)}`,
  }
}

function notSetUp({ names }: InspectOptions): Finding {
  return {
    code: 'rabbitmq-topology',
    level: 'warning',
    message: `Nothing is declared yet under ${names.prefix}`,
    advice: 'Run: millrace setup worker.ts; or start a worker, which declares what it needs.',
  }
}

async function topology(connection: ChannelModel, o: InspectOptions): Promise<readonly Finding[]> {
  const { names, deep, carries } = o
  let declared: Awaited<ReturnType<InspectOptions['declared']>>
  try {
    declared = await o.declared()
  } catch (error) {
    return [
      {
        code: 'rabbitmq-topology',
        level: 'error',
        message: `What has been declared could not be read: ${messageOf(error)}`,
        advice: 'Look at the findings about permissions and links.',
      },
    ]
  }
  const parts = [
    ...declared.queues.map((queue) => ({ label: queue, of: (carries ? levelsOf : queuesOf)(names, queue) })),
    ...declared.subscriptions.map((one) => ({ label: `subscription ${one}`, of: [names.subscription(one)] })),
  ]
  const lines: Line[] = []
  const missing: string[] = []
  /** A pair has no queue of suspects, and from here it cannot be seen whether this is the broker of one. */
  const unsure: string[] = []
  for (const part of parts) {
    let there = 0
    let [messages, consumers] = [0, 0]
    for (const queue of part.of) {
      const counts = await countsOf(connection, queue)
      if (counts) there += 1
      else if (there === part.of.length - 1 && queue === names.suspect(part.label)) unsure.push(queue)
      else missing.push(queue)
      messages += counts?.messages ?? 0
      consumers += counts?.consumers ?? 0
      if (deep && counts) lines.push({ label: queue, ...counts })
    }
    if (!deep) lines.push({ label: part.label, messages, consumers })
  }
  const unrouted = await countsOf(connection, names.unrouted)
  const aside = await countsOf(connection, names.aside)
  const lost = [...missing, ...(unrouted ? [] : [names.unrouted]), ...(aside ? [] : [names.aside])]
  return [
    complete({ lost, unsure, queues: declared.queues.length, subscriptions: declared.subscriptions.length }),
    served(lines, o),
    leftOver('rabbitmq-unrouted', unrouted?.messages ?? 0, names.unrouted, UNROUTED),
    leftOver('rabbitmq-aside', aside?.messages ?? 0, names.aside, ASIDE),
    ...(deep ? [await delayed(connection, names)] : []),
  ]
}

function complete({ lost, unsure, queues, subscriptions }: Completeness): Finding {
  const code = 'rabbitmq-topology'
  const sharing = subscriptions === 0 ? '' : ` and ${counted(subscriptions, 'subscription')} that share one`
  if (lost.length === 0 && unsure.length > 0)
    return {
      code,
      level: 'warning',
      message: `There is no ${unsure.join(', ')}`,
      advice:
        'If these queues belong to a broker with a store, all is well, and the doctor needs the store as well (--store, or MILLRACE_STORE). Else somebody has deleted them: restart the workers, which declare them again.',
    }
  if (lost.length === 0)
    return {
      code,
      level: 'ok',
      message: `All that was declared is there: ${counted(queues, 'queue')}${sharing}.`,
    }
  return {
    code,
    level: 'error',
    message: `Somebody has deleted ${[...lost, ...unsure].join(', ')}`,
    advice: 'Restart the workers, or run millrace setup: both declare it again. What was in it is lost.',
  }
}

function served(lines: readonly Line[], { carries, settings }: InspectOptions): Finding {
  const code = 'rabbitmq-queues'
  const facts = Object.fromEntries(
    lines.map(({ label, messages, consumers }) => [label, `${messages} waiting, consumers: ${consumers}`]),
  )
  const waiting = lines.reduce((sum, { messages }) => sum + messages, 0)
  const left = lines.filter(({ messages, consumers }) => messages > 0 && consumers === 0)
  if (left.length === 0 || carries)
    return {
      code,
      level: 'ok',
      message: `${waiting === 0 ? 'Nothing waits' : `${counted(waiting, 'message')} wait${waiting === 1 ? 's' : ''}`} to be taken.`,
      facts,
    }
  return {
    code,
    level: 'warning',
    message: `Something waits, and nobody takes it: ${left.map(({ label, messages }) => `${label} (${messages})`).join(', ')}`,
    advice: `Start a worker for it, or see why none is connected: rabbitmqctl list_consumers -p ${settings.vhost}`,
    facts,
  }
}

const counted = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`

const UNROUTED = {
  none: 'No delayed job has come due for a queue that is gone.',
  some: 'jobs came due for a queue or subscription that is gone, and lie aside in',
  advice:
    "Start a worker for that queue, so that it is there again, and move them: the word behind the delay in a message's routing key names the queue. Or purge them.",
}
const ASIDE = {
  none: 'No message has been put aside.',
  some: 'messages that are no jobs, or of a later version, lie aside in',
  advice:
    'Look at them in RabbitMQ: the header millrace-aside-why tells the reason. Fix who sends them, then purge the queue.',
}

function leftOver(
  code: string,
  count: number,
  queue: string,
  words: { readonly none: string; readonly some: string; readonly advice: string },
): Finding {
  const facts = { messages: count }
  if (count === 0) return { code, level: 'ok', message: words.none, facts }
  return { code, level: 'warning', message: `${count} ${words.some} ${queue}`, advice: words.advice, facts }
}

async function delayed(connection: ChannelModel, names: Names): Promise<Finding> {
  let [there, messages] = [0, 0]
  for (let level = 0; level < DELAY_LEVELS; level++) {
    const counts = await countsOf(connection, names.delay(level))
    if (counts) there++
    messages += counts?.messages ?? 0
  }
  const code = 'rabbitmq-delays'
  const facts = { levels: there, messages }
  if (there === DELAY_LEVELS)
    return {
      code,
      level: 'ok',
      message: `Delayed jobs and retries: ${counted(messages, 'message')} on the way.`,
      facts,
    }
  if (there === 0)
    return { code, level: 'ok', message: 'No delays: the queues for them are declared with the first one.', facts }
  return {
    code,
    level: 'error',
    message: `Of the ${DELAY_LEVELS} queues of the delay network only ${there} are there, so delayed jobs may be lost.`,
    advice: 'Run: millrace setup worker.ts, which declares the others again. Look who has deleted them.',
    facts,
  }
}
