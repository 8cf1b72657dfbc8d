// A delivery that the store knows nothing of (`history: 'final'`): the broker's own, whose end is written to the store before
// its message is acknowledged. Another attempt, and what is given back, go through the broker.
import type { Envelope } from '../../core/envelope.js'
import { LeaseLostError, UnsupportedError, hasCode } from '../../core/errors.js'
import type { Delivery, Note } from '../driver.js'
import type { Ended } from '../ledger.js'
import { DeliveryAround } from '../wrap.js'
import { ticketOf } from './handing.js'

/** Whether the store needs to hear of it only when it has ended: nothing about it but its end takes memory. */
export const isPlain = ({ unique, notBefore }: Envelope): boolean => unique === undefined && notBefore === undefined

/**
 * Whether what arrived may run with nothing written of it. Somebody had a suspect in hand before: it becomes the store's,
 * which counts its crashes, and knows if it has ended.
 */
export const runsPlain = ({ envelope, suspect }: Delivery<any>): boolean =>
  // What comes again says when it was due.
  !suspect && ticketOf(envelope) === undefined && envelope.unique === undefined

/** What it asks of its pair. */
export interface PlainHolder {
  /** `false`: it has ended before. */
  record(ended: Ended): Promise<boolean>
  publish(envelopes: readonly Envelope[]): Promise<unknown>
  /** It is settled, or not ours any more. */
  left(delivery: PlainDelivery): void
  /** A handler told how far it is, and nobody keeps that. */
  noted(): void
}

/** A class for once: there are as many of these as there are jobs. */
export class PlainDelivery extends DeliveryAround<any> implements Delivery<any> {
  private readonly holder: PlainHolder
  private gone = false

  constructor(message: Delivery<any>, holder: PlainHolder) {
    super(message)
    this.holder = holder
    message.onLost((why) => why !== 'cancelled' && this.leave())
  }

  override get suspect() {
    return false
  }

  override note(o: Note): void {
    if (o.progress !== undefined) this.holder.noted()
  }

  async ack(o: Parameters<Delivery<any>['ack']>[0] = {}): Promise<void> {
    if (o.tx !== undefined)
      throw new UnsupportedError(
        "With history: 'final' a job cannot end in a transaction ({ tx }), for the store knows nothing of it. Use history: 'full'.",
      )
    if (o.elsewhere) return this.passOn(this.inner.ack(o))
    // First, or they would be lost if we died in between: who finds the job ended does not publish them.
    if (o.publish && o.publish.length > 0) await this.holder.publish(o.publish)
    await this.end({ state: 'completed', ...(o.result !== undefined && { result: o.result }) })
  }
  dead({ reason, error }: Parameters<Delivery<any>['dead']>[0]): Promise<void> {
    const { errors } = this.inner
    return this.end({ state: 'dead', reason, error, ...(errors && { errors }) })
  }
  retry(o: Parameters<Delivery<any>['retry']>[0]): Promise<void> {
    return this.passOn(this.inner.retry(o))
  }
  release(o?: Parameters<Delivery<any>['release']>[0]): Promise<void> {
    return this.passOn(this.inner.release(o))
  }

  private async end(how: Pick<Ended, 'state' | 'result' | 'reason' | 'error' | 'errors'>): Promise<void> {
    const { run, attempt } = this.inner
    const envelope = ended(this.inner.envelope)
    if (this.gone) throw new LeaseLostError(envelope.id, run)
    const first = await this.holder.record({ envelope, run, attempt, ...how })
    // Never waited for: a message that comes again is that of a job which has ended.
    const { state, result } = how
    const told = state === 'dead' ? { elsewhere: true as const } : { ...(result !== undefined && { result }) }
    void this.inner.ack(told).catch(() => {})
    this.leave()
    if (!first) throw new LeaseLostError(envelope.id, run)
  }

  private passOn(settled: Promise<void>): Promise<void> {
    return settled.then(
      () => this.leave(),
      (error: unknown) => {
        if (hasCode(error, 'ERR_LEASE_LOST')) this.leave()
        throw error
      },
    )
  }

  private leave(): void {
    if (this.gone) return
    this.gone = true
    this.holder.left(this)
  }
}

/** What comes again says when it was due, and that is over. */
function ended(envelope: Envelope): Envelope {
  if (envelope.notBefore === undefined) return envelope
  const { notBefore: _, ...rest } = envelope
  return rest
}
