// Publishing to a pair: written to the store, then handed to the broker.
import type { Envelope } from '../../core/envelope.js'
import { BrokerUnavailableError, hasCode, messageOf } from '../../core/errors.js'
import { isFinished } from '../../core/job.js'
import type { Broker, Jobs } from '../driver.js'
import type { Added, Handing, Ledger } from '../ledger.js'
import type { Receipt } from '../receipts.js'
import { messageFor } from './handing.js'
import { isPlain } from './plain.js'
import type { Sweep } from './sweep.js'

export function createPublish<Tx>(o: {
  readonly ledger: Ledger<Tx>
  readonly jobs: Jobs
  readonly broker: Broker<any>
  readonly sweep: () => Sweep
  readonly history: 'full' | 'final'
  /** Make the queue exist in the store. */
  declare(queue: string): Promise<void>
}): Broker<Tx>['publish'] {
  const queues = new Set<string>()
  /** An operator can name a queue as soon as there are jobs for it. That must not keep a job from its broker. */
  async function known(queue: string): Promise<void> {
    if (queues.has(queue)) return
    queues.add(queue)
    await o.declare(queue).catch(() => queues.delete(queue))
  }

  /** Plain ones are the broker's alone until they end; what the store must know of goes before them. */
  async function publishFinal(envelopes: readonly Envelope[]): Promise<readonly Receipt[]> {
    await Promise.all(envelopes.map(({ queue }) => known(queue)))
    const [plain, rest] = [envelopes.filter(isPlain), envelopes.filter((one) => !isPlain(one))]
    if (rest.length === 0) return o.broker.publish({ envelopes: plain })
    const kept = await publishNow(rest, plain)
    let [at, place] = [0, 0]
    return envelopes.map((one) => (isPlain(one) ? { id: plain[at++]!.id, duplicate: false } : kept[place++]!))
  }

  /** @param beside what goes to the broker in the same step, and nobody else knows of */
  async function publishNow(
    envelopes: readonly Envelope[],
    beside: readonly Envelope[] = [],
  ): Promise<readonly Receipt[]> {
    const added = await o.ledger.add({ envelopes })
    const handings: Handing[] = []
    const messages: Envelope[] = [...beside]
    added.forEach(({ id, ticket, duplicate }, i) => {
      const envelope = envelopes[i]!
      if (ticket !== undefined) {
        handings.push({ id, ticket })
        messages.push(messageFor(envelope, ticket))
      } else if (!duplicate && envelope.notBefore !== undefined) o.sweep().dueIn(envelope.notBefore - Date.now())
    })
    // One that stands for ours may be another's who has not handed it over yet, and is due now.
    if (added.some(({ duplicate }) => duplicate)) o.sweep().kick()
    if (messages.length > 0) {
      try {
        await o.broker.publish({ envelopes: messages })
      } catch (error) {
        await refused(handings, error, beside)
        return added.map(receipt)
      }
      // Nobody waits for it: if it is never written, the job is handed over once more, and one of its messages is stale.
      if (handings.length > 0) void o.ledger.handed({ handings }).catch(() => {})
    }
    return added.map(receipt)
  }

  /**
   * The broker did not take them, or has not said so. Without its row a message is stale: so when the rows are gone, the jobs
   * will not run, whatever the broker has. Returns when it turns out that they were taken after all.
   */
  async function refused(handings: readonly Handing[], cause: unknown, beside: readonly Envelope[]): Promise<void> {
    const ids = [...handings, ...beside].map(({ id }) => id)
    const left = await o.ledger
      .withdraw({ handings })
      .then(() => o.jobs.get({ ids: handings.map(({ id }) => id) }))
      .catch(() => {
        throw unavailable(cause, 'unknown', ids) // the store is away as well: its rows may stand
      })
    // Those have no row that could be withdrawn.
    if (beside.length > 0) {
      const isSent = (cause as { outcome?: unknown }).outcome !== 'not-sent'
      throw unavailable(cause, isSent || left.length > 0 ? 'unknown' : 'not-sent', ids)
    }
    if (left.length === 0) throw hasCode(cause, 'ERR_BROKER_UNAVAILABLE') ? unavailable(cause, 'not-sent', ids) : cause
    // A worker has it, or had it: only the broker's word for it was lost on the way.
    if (left.length === ids.length && left.every(({ run, state }) => run > 0 || isFinished(state))) return
    throw unavailable(cause, 'unknown', ids)
  }

  return ({ envelopes, tx }) =>
    // Handed over by a sweep, once the caller has committed.
    tx === undefined
      ? (o.history === 'final' ? publishFinal : publishNow)(envelopes)
      : o.ledger.add({ envelopes, tx }).then((added) => added.map(receipt))
}

const receipt = ({ id, duplicate }: Added): Receipt => ({ id, duplicate })

function unavailable(cause: unknown, outcome: 'not-sent' | 'unknown', ids: readonly string[]): BrokerUnavailableError {
  const advice =
    outcome === 'not-sent'
      ? 'Nothing was kept.'
      : 'It may have been kept; to enqueue it again with the same id is safe.'
  return new BrokerUnavailableError(`The broker did not take the job: ${messageOf(cause)} ${advice}`, {
    outcome,
    ids,
    cause,
  })
}
