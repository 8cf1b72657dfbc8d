// A delivery of a pair: the store's, and the message that brought it. It is settled in the store, then acknowledged.
import { hasCode } from '../../core/errors.js'
import type { Delivery } from '../driver.js'
import { DeliveryAround } from '../wrap.js'

/** Where it is held. */
export interface PairHolder {
  /** It is settled, or not ours any more: another may come in its place. */
  left(delivery: PairDelivery<any>): void
  /** Its message will come again, for the link to the broker was lost; the job stays ours, for it is the store's. */
  orphaned(): void
  /** The job waits in the store again, to be handed over after so many milliseconds. */
  waits(ms: number): void
}

/** A class for once: there are as many of these as there are jobs. */
export class PairDelivery<Tx> extends DeliveryAround<Tx> implements Delivery<Tx> {
  /** The link over which its message came is gone. */
  orphan = false
  /** 0: the message has none. */
  readonly ticket: number
  private readonly message: Delivery<any>
  private readonly holder: PairHolder
  private gone = false

  constructor(own: Delivery<Tx>, message: Delivery<any>, ticket: number, holder: PairHolder) {
    super(own)
    this.message = message
    this.holder = holder
    this.ticket = ticket
    own.onLost((why) => why !== 'cancelled' && this.leave())
    message.onLost((why) => why !== 'cancelled' && this.loseMessage())
  }

  ack(o?: Parameters<Delivery<Tx>['ack']>[0]): Promise<void> {
    return this.end(this.inner.ack(o), (o?.publish?.length ?? 0) > 0 ? 0 : undefined)
  }
  retry(o: Parameters<Delivery<Tx>['retry']>[0]): Promise<void> {
    return this.end(this.inner.retry(o), o.delay)
  }
  dead(o: Parameters<Delivery<Tx>['dead']>[0]): Promise<void> {
    return this.end(this.inner.dead(o))
  }
  release(o?: Parameters<Delivery<Tx>['release']>[0]): Promise<void> {
    return this.end(this.inner.release(o), o?.delay ?? 0)
  }

  /** @param waits milliseconds until something that the store keeps now is to be handed over */
  private end(settled: Promise<void>, waits?: number): Promise<void> {
    return settled.then(
      () => {
        this.leave()
        if (waits !== undefined) this.holder.waits(waits)
      },
      (error: unknown) => {
        // Somebody else's by now; its message is of no use to anybody.
        if (hasCode(error, 'ERR_LEASE_LOST')) this.leave()
        throw error
      },
    )
  }

  private leave(): void {
    if (this.gone) return
    this.gone = true
    // Never asked twice, and never waited for: a message that comes again is stale.
    if (!this.orphan) void this.message.ack().catch(() => {})
    this.holder.left(this)
  }

  private loseMessage(): void {
    if (this.gone || this.orphan) return
    this.orphan = true
    this.holder.orphaned()
  }
}
