// One job in a worker's hands. What goes on with it (again, later, given back, dead) is a copy with our own headers, confirmed
// before the message it came with is acknowledged: at least once, and the attempts are counted by us, not by the broker.
import type { Envelope } from '../../core/envelope.js'
import { KEPT_ERRORS, LeaseLostError, type DeadReason, type JobError } from '../../core/errors.js'
import { BLOCKED_FORGOTTEN, type Delivery, type LostReason, type ReleaseReason } from '../../driver/driver.js'
import type { Reply } from '../../driver/replies.js'
import type { Acks, Held } from './acks.js'
import type { Course, Unpacked } from './message.js'
import type { Sub } from './taps.js'

/** What a delivery asks of its broker. */
export interface Sending {
  /** A job, to the queue that it waits in, or into the delays. Confirmed. */
  job(envelope: Envelope, course: Course, o: { readonly suspect: boolean }): Promise<void>
  jobs(envelopes: readonly Envelope[]): Promise<void>
  dead(
    job: Pick<Unpacked, 'envelope' | 'course'>,
    o: { readonly reason: DeadReason; readonly error: JobError },
  ): Promise<void>
  reply(replyTo: string, id: string, reply: Reply): void
}

/** Where deliveries come from: one channel of a consumer. */
export interface Home {
  readonly sending: Sending
  readonly acks: Acks
  /** A store keeps the books: every hand-over before counts, whatever queue it was in. */
  readonly carried: boolean
  /** It is no more in our hands. */
  left(delivery: RabbitDelivery): void
}

export class RabbitDelivery implements Delivery, Held {
  readonly tag: number
  settled = false
  before: Held | undefined = undefined
  after: Held | undefined = undefined
  readonly run: number
  readonly attempt: number
  readonly crashes: number
  readonly suspect: boolean
  /** Which of RabbitMQ's consumers gave it. */
  readonly sub: Sub
  /** When it began to wait in our buffer. */
  since = 0
  /** It was handed over. */
  handed = false
  private readonly job: Unpacked
  private readonly home: Home
  private lost: LostReason | undefined = undefined
  private listeners: ((why: LostReason) => void)[] | undefined = undefined

  /** @param count how often the broker had handed it over before */
  constructor(home: Home, sub: Sub, tag: number, job: Unpacked, count: number) {
    const { course } = job
    const suspect = sub.tap.kind === 'suspect'
    this.tag = tag
    this.run = course.run + count + 1
    this.attempt = course.spent + 1
    // Lost once is a crash. The broker's count may be higher: when it loses all links, it hands what one of them had to the
    // next, until none is left.
    const lost = home.carried ? count : suspect ? Math.min(count, 1) : 0
    this.crashes = course.crashes + lost
    this.suspect = home.carried ? this.crashes > 0 : suspect
    this.sub = sub
    this.job = job
    this.home = home
  }

  get envelope(): Envelope {
    return this.job.envelope
  }

  get errors(): readonly JobError[] {
    return this.job.course.errors
  }

  get blocked(): { readonly why: ReleaseReason; readonly since: number } | undefined {
    const { blocked } = this.job.course
    return blocked && this.fresh() ? blocked : undefined
  }

  /** Nobody let it lie for so long that what it was blocked by has been forgotten. */
  private fresh(): boolean {
    const { due } = this.job
    return due === 0 || due > Date.now() - BLOCKED_FORGOTTEN
  }

  /** The broker knows that we have it, and hands it over again when we die. */
  start(): Promise<void> {
    return this.home.acks.alive ? Promise.resolve() : Promise.reject(this.notOurs())
  }

  onLost(fn: (why: LostReason) => void): void {
    // An array made empty is given room for many.
    if (this.listeners) this.listeners.push(fn)
    else this.listeners = [fn]
    if (this.lost) fn(this.lost)
  }

  /** Nobody could ask a broker for it. */
  note(): void {}

  ack(o: { readonly result?: string; readonly publish?: readonly Envelope[]; readonly elsewhere?: boolean } = {}) {
    // The way of almost every job. What goes on elsewhere has no answer yet.
    if (o.publish === undefined && (this.job.course.replyTo === undefined || o.elsewhere)) return this.end()
    return this.ackWith(o)
  }

  private async ackWith(o: { readonly result?: string; readonly publish?: readonly Envelope[] }): Promise<void> {
    this.check()
    if (o.publish !== undefined && o.publish.length > 0) await this.home.sending.jobs(o.publish)
    const { replyTo } = this.job.course
    if (replyTo !== undefined)
      this.home.sending.reply(replyTo, this.envelope.id, {
        state: 'completed',
        ...(o.result !== undefined && { result: o.result }),
      })
    await this.end()
  }

  async retry(o: { readonly delay: number; readonly error: JobError }): Promise<void> {
    this.check()
    const { errors, replyTo } = this.job.course
    await this.home.sending.job(
      this.later(o.delay),
      {
        run: this.run,
        spent: this.attempt,
        crashes: this.crashes,
        errors: [...errors, o.error].slice(-KEPT_ERRORS),
        replyTo,
      },
      { suspect: false },
    )
    await this.end()
  }

  async dead(o: { readonly reason: DeadReason; readonly error: JobError }): Promise<void> {
    this.check()
    const spent = o.reason === 'failed' || o.reason === 'invalid-output' ? this.attempt : this.attempt - 1
    const { errors, replyTo } = this.job.course
    const course = {
      run: this.run,
      spent,
      crashes: this.crashes,
      errors: [...errors, o.error].slice(-KEPT_ERRORS),
      replyTo,
    }
    await this.home.sending.dead({ envelope: this.envelope, course }, o)
    if (replyTo !== undefined)
      this.home.sending.reply(replyTo, this.envelope.id, {
        state: 'dead',
        reason: o.reason,
        error: o.error,
        attempt: this.attempt,
      })
    await this.end()
  }

  async release(o: { readonly delay?: number; readonly why?: ReleaseReason } = {}): Promise<void> {
    this.check()
    const { delay = 0, why = 'stop' } = o
    const { errors, blocked, replyTo } = this.job.course
    const goesOn = blocked?.why === why && this.fresh()
    const course: Course = {
      run: this.run,
      spent: this.attempt - 1,
      crashes: this.crashes,
      errors,
      blocked: why === 'stop' || goesOn ? blocked : { why, since: Date.now() },
      replyTo,
    }
    await this.home.sending.job(this.later(delay), course, { suspect: this.suspect && why !== 'later' })
    await this.end()
  }

  /** It was never handed to anybody: back to where it was, or to the suspects, as if nothing had been. */
  async putBack(o: { readonly suspect: boolean }): Promise<void> {
    const course = { ...this.job.course, run: this.run - 1, crashes: this.crashes }
    await this.home.sending.job(this.envelope, course, o)
    await this.end()
  }

  onWritten(): void {
    this.home.left(this)
  }

  onGone(): void {
    this.home.left(this)
    this.lost = 'link'
    for (const fn of this.listeners ?? []) fn('link')
  }

  private later(delay: number): Envelope {
    const { notBefore: _, ...envelope } = this.envelope
    return delay > 0 ? { ...envelope, notBefore: Date.now() + delay } : envelope
  }

  private check(): void {
    if (!this.home.acks.alive) throw this.notOurs()
  }

  private end(): Promise<void> {
    return this.home.acks.settle(this).then((written) => {
      if (!written) throw this.notOurs()
    })
  }

  private notOurs(): LeaseLostError {
    return new LeaseLostError(this.envelope.id, this.run)
  }
}
