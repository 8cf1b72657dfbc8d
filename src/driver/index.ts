// For authors of drivers: the seam and the helpers that the drivers of this package are made of.
export * from './driver.js'
export { copyFor } from './events.js'
export type {
  EventEnvelope,
  EventLog,
  EventQuery,
  Events,
  KeptEvent,
  Subscription,
  SubscriptionSpec,
} from './events.js'
export { statefulOf } from './bare.js'
export type { DeadLetters, DeadQuery } from './dead-letters.js'
export type { Replies, Reply } from './replies.js'
export type { Added, Arrival, DueHanding, Ended, Handing, Ledger, LedgerHolder } from './ledger.js'
export type { Delayed, DelayedTaking } from './delayed.js'
export { heldQueue, leavingEnvelope } from './leaving.js'
export type { Leaving } from './leaving.js'
export { HANDING_PATIENCE } from './ledger.js'
export { compose } from './compose.js'
export type { PairOptions } from './compose.js'
export { matchesPattern } from '../core/pattern.js'
export { standing } from './receipts.js'
export { guard } from './guard.js'
export type { Span } from './guard.js'
export { createBatcher } from './batching.js'
export type { Batcher, Outcome } from './batching.js'
export { createLostSwitch, createPollingConsumer, describeLookError } from './polling.js'
export type { PolledDelivery, PollingConsumer, PollingOptions } from './polling.js'
export { beatInterval, createLeaseWatch, watchGap } from './leases.js'
export type { Beat, LeaseWatch } from './leases.js'
export { createPulse, overrun } from './pulse.js'
export { wrapDelivery } from './wrap.js'
export type { Pulse } from './pulse.js'
export { REPLY_HEADER } from '../core/envelope.js'
export type { Envelope, HeaderMap, UniqueClaim } from '../core/envelope.js'
export type { DeadReason, JobError } from '../core/errors.js'
export { MOVES, stateAfter } from '../core/job.js'
export type { JobState, Move } from '../core/job.js'
