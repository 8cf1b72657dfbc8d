// Wrapping a delivery: an object that passes every call on, but for those that are replaced. A delivery keeps state of its
// own, so an object with it as its prototype would be another one.
import type { Delivery } from './driver.js'

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
