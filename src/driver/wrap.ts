// Wrapping a delivery: an object that passes every call on, but for those that are replaced. A delivery keeps state of its
// own, so an object with it as its prototype would be another one.
import type { Delivery, LostReason, Note } from './driver.js'

export function wrapDelivery<Tx>(inner: Delivery<Tx>, replaced: Partial<Delivery<Tx>>): Delivery<Tx> {
  return {
    envelope: inner.envelope,
    run: inner.run,
    attempt: inner.attempt,
    crashes: inner.crashes,
    suspect: inner.suspect,
    ...(inner.errors && { errors: inner.errors }),
    ...(inner.blocked && { blocked: inner.blocked }),
    begin: () => inner.begin?.() ?? true,
    start: () => inner.start(),
    onLost: (fn) => inner.onLost(fn),
    note: (o) => inner.note(o),
    ack: (o) => inner.ack(o),
    retry: (o) => inner.retry(o),
    dead: (o) => inner.dead(o),
    release: (o) => inner.release(o),
    ...replaced,
  }
}

/**
 * The same for a class, which makes its methods once and not for each job: what is asked of a delivery is asked of the inner
 * one. The settling verbs are its own.
 */
export abstract class DeliveryAround<Tx> implements Omit<Delivery<Tx>, 'ack' | 'retry' | 'dead' | 'release'> {
  protected readonly inner: Delivery<Tx>

  constructor(inner: Delivery<Tx>) {
    this.inner = inner
  }

  get envelope() {
    return this.inner.envelope
  }
  get run() {
    return this.inner.run
  }
  get attempt() {
    return this.inner.attempt
  }
  get crashes() {
    return this.inner.crashes
  }
  get suspect() {
    return this.inner.suspect
  }
  get blocked() {
    return this.inner.blocked
  }

  begin(): boolean {
    return this.inner.begin?.() ?? true
  }
  start(): Promise<void> {
    return this.inner.start()
  }
  onLost(fn: (why: LostReason) => void): void {
    this.inner.onLost(fn)
  }
  note(o: Note): void {
    this.inner.note(o)
  }
}
