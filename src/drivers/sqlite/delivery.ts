// A job in a worker's hands, made from the values of a claimed row.
import { NO_HEADERS, type Envelope, type HeaderMap, type UniqueClaim } from '../../core/envelope.js'
import { LeaseLostError, type DeadReason, type JobError } from '../../core/errors.js'
import {
  BLOCKED_FORGOTTEN,
  type Delivery,
  type LostReason,
  type Note,
  type ReleaseReason,
} from '../../driver/driver.js'
import { ROW } from './broker-sql.js'
import type { SqliteHandle, SqlValue } from './engine.js'
import type { Link } from './link.js'
import { packEnvelopes } from './packing.js'
import { LOST_SLOT, NO_SLOT } from './slots.js'

/** Where a delivery is held, and what it needs of the driver. */
export interface Holder {
  readonly link: Link
  readonly queue: string
  /** Settle in the caller's own transaction, at once; whether the run owned the job. */
  ackInTransaction(
    tx: SqliteHandle,
    delivery: SqliteDelivery,
    result: string | null,
    publish: readonly Envelope[],
  ): boolean
  note(delivery: SqliteDelivery, o: Note): void
  /** Take back what it said and nobody wrote yet, to write it with its settle. */
  said(delivery: SqliteDelivery): Note | undefined
  /** It leaves the slot that it was handed over in; `false`: it was taken back from there. */
  begin(slot: number): boolean
  /** It is settled, or not ours any more: another may come in its place. */
  left(delivery: SqliteDelivery): void
  /** It was not settled after all. */
  kept(delivery: SqliteDelivery): void
}

/** What most jobs do not have; see `rare` in broker-sql.ts. */
interface Rare {
  readonly suspect: number
  readonly crashes: number
  readonly blocked: ReleaseReason | null
  readonly blocked_since: number | null
  readonly expires_at: number | null
  readonly unique_key: string | null
  readonly unique_until: string
  readonly unique_until_at: number | null
  readonly job_group: string | null
  readonly headers: string
}

/** Place of the slot in a row. */
const SLOT = ROW - 1

/** A class for once: there are many of these, and methods of a class are made only once. */
export class SqliteDelivery implements Delivery<SqliteHandle> {
  readonly seq: number
  readonly run: number
  readonly attempt: number
  readonly crashes: number = 0
  readonly suspect: boolean = false
  readonly blocked?: { readonly why: ReleaseReason; readonly since: number }
  private readonly holder: Holder
  private readonly values: SqlValue[]
  private readonly at: number
  private readonly rare: Rare | undefined
  private made: Envelope | undefined
  private listeners: ((why: LostReason) => void)[] | undefined
  private told: LostReason[] | undefined

  /**
   * @param at where the row begins in `values`; the order is that of `take` in broker-sql.ts
   * @param made its envelope, where that is known already
   */
  constructor(holder: Holder, values: SqlValue[], at: number, made?: Envelope) {
    this.made = made
    this.holder = holder
    this.values = values
    this.at = at
    this.seq = values[at] as number
    this.run = values[at + 7] as number
    this.attempt = (values[at + 8] as number) + 1
    const text = values[at + 11] as string | null
    if (text === null) return
    this.rare = JSON.parse(text) as Rare
    this.crashes = this.rare.crashes
    this.suspect = this.rare.suspect === 1
    const dueAt = values[at + 5] as number
    if (this.rare.blocked !== null && dueAt > Date.now() - BLOCKED_FORGOTTEN)
      this.blocked = { why: this.rare.blocked, since: this.rare.blocked_since ?? 0 }
  }

  /** Made when it is asked for: a delivery that waits for its turn is small. */
  get envelope(): Envelope {
    return (this.made ??= this.makeEnvelope())
  }

  private makeEnvelope(): Envelope {
    const { values, at } = this
    const plain: Envelope = {
      id: values[at + 1] as string,
      queue: this.holder.queue,
      name: values[at + 2] as string,
      body: values[at + 3] as string,
      headers: NO_HEADERS,
      priority: values[at + 4] as number,
      enqueuedAt: values[at + 6] as number,
      keep: { completed: values[at + 9] as number, dead: values[at + 10] as number },
    }
    return this.rare ? { ...plain, ...rareParts(this.rare, plain.enqueuedAt) } : plain
  }

  begin(): boolean {
    const slot = this.values[this.at + SLOT] as number
    if (slot === NO_SLOT || slot === LOST_SLOT) return slot === NO_SLOT
    const mine = this.holder.begin(slot)
    // Kept with the row, so that an object with this one as its prototype knows it, too.
    this.values[this.at + SLOT] = mine ? NO_SLOT : LOST_SLOT
    if (!mine) this.holder.left(this)
    return mine
  }

  onLost(fn: (why: LostReason) => void): void {
    // An array made empty is given room for many.
    if (this.listeners) this.listeners.push(fn)
    else this.listeners = [fn]
    for (const why of this.told ?? []) fn(why)
  }

  lose(why: LostReason): void {
    if (this.told?.includes(why)) return
    ;(this.told ??= []).push(why)
    for (const listener of this.listeners ?? []) listener(why)
    if (why !== 'cancelled') this.holder.left(this)
  }

  note(o: Note): void {
    this.holder.note(this, o)
  }

  async start(): Promise<void> {
    if (!(await this.holder.link.write('start', this.ref))) throw new LeaseLostError(this.envelope.id, this.run)
  }

  ack(o?: {
    readonly result?: string
    readonly tx?: SqliteHandle
    readonly publish?: readonly Envelope[]
  }): Promise<void> {
    if (!this.begin()) return this.takenBack()
    const result = o?.result ?? null
    const { link } = this.holder
    const children = o?.publish ?? []
    if (o?.tx !== undefined)
      return this.end(Promise.resolve(this.holder.ackInTransaction(o.tx, this, result, children)))
    const said = this.holder.said(this)
    if (said === undefined && children.length === 0)
      return this.done(link.ack(this.seq, this.envelope.id, this.run, result))
    const args = { ...this.ref, said, result, publish: packEnvelopes(children) }
    return this.end(link.write('ack', args, 1 + children.length), said)
  }

  retry(o: { readonly delay: number; readonly error: JobError }): Promise<void> {
    if (!this.begin()) return this.takenBack()
    const said = this.holder.said(this)
    return this.end(this.holder.link.write('retry', { ...this.ref, said, ...o }), said)
  }

  dead(o: { readonly reason: DeadReason; readonly error: JobError }): Promise<void> {
    if (!this.begin()) return this.takenBack()
    const said = this.holder.said(this)
    return this.end(this.holder.link.write('dead', { ...this.ref, said, ...o }), said)
  }

  release({ delay = 0, why = 'stop' }: { readonly delay?: number; readonly why?: ReleaseReason } = {}): Promise<void> {
    if (!this.begin()) return Promise.resolve() // it was given back in our place
    const said = this.holder.said(this)
    return this.end(this.holder.link.write('release', { ...this.ref, said, delay, why }), said)
  }

  private get ref() {
    return { seq: this.seq, id: this.envelope.id, run: this.run }
  }

  private end(settled: Promise<boolean>, said?: Note): Promise<void> {
    return settled.then(
      (owned) => {
        this.holder.left(this)
        this.check(owned)
      },
      (error: unknown) => {
        if (said) this.holder.note(this, said) // for the next try
        throw error
      },
    )
  }

  /** The same, but its place is free at once: the transaction that settles it may take the next job. */
  private done(settled: Promise<boolean>): Promise<void> {
    this.holder.left(this)
    return settled.then(
      (owned) => this.check(owned),
      (error: unknown) => {
        this.holder.kept(this)
        throw error
      },
    )
  }

  /** Settled by somebody who did not ask `begin()` first. */
  private takenBack(): Promise<void> {
    return Promise.reject(new LeaseLostError(this.envelope.id, this.run))
  }

  private check(owned: boolean): void {
    if (!owned) throw new LeaseLostError(this.envelope.id, this.run)
  }
}

function rareParts(rare: Rare, enqueuedAt: number): Partial<Envelope> {
  const unique: UniqueClaim | undefined =
    rare.unique_key === null
      ? undefined
      : {
          key: rare.unique_key,
          until:
            rare.unique_until === 'started' || rare.unique_until === 'finished'
              ? rare.unique_until
              : (rare.unique_until_at ?? 0) - enqueuedAt,
        }
  return {
    headers: JSON.parse(rare.headers) as HeaderMap,
    ...(rare.expires_at !== null && { expiresAt: rare.expires_at }),
    ...(unique && { unique }),
    ...(rare.job_group !== null && { group: rare.job_group }),
  }
}
