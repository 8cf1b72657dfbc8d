// The public surface of the package, and nothing else.
export * from './contracts.js'
export { connect, createClient } from './connect.js'
export type { Client } from './connect.js'
export { drain } from './drain.js'
export type { DrainableQueue, Drained, DrainOptions, RefusedJob } from './client/drain.js'
export type {
  Args,
  ClientOptions,
  EnqueueOptions,
  EventFilter,
  EventInfo,
  Job,
  JobFilter,
  JobInfo,
  JobLine,
  Producer,
  PublishedEvent,
  PublishOptions,
  QueueInfo,
  SubscriptionInfo,
  ScheduleInfo,
  Target,
  WorkerStatus,
} from './client/types.js'
export { on, route } from './events/define.js'
export { schedule } from './schedules/define.js'
export { defineWorker, handle } from './worker/define.js'
export type {
  Awaitable,
  Context,
  Handler,
  HandlerOptions,
  Middleware,
  Nested,
  OwnOptions,
  Worker,
  WorkerDefinition,
  WorkerHealth,
  WorkerOptions,
  WorkOptions,
} from './worker/types.js'
export type { Driver, Finding, StatefulDriver } from './driver/driver.js'
export type { Rule, Tick } from './core/schedule.js'
export type { HeaderMap } from './core/envelope.js'
export type { JobState } from './core/job.js'
export { createLogger } from './observe/log.js'
export type { Logger, LogLevel } from './observe/log.js'
export {
  AlreadySettledError,
  BrokerUnavailableError,
  ClientClosedError,
  ConfigurationError,
  JobCancelledError,
  JobConflictError,
  JobFailedError,
  JobNotFoundError,
  JobTimeoutError,
  LeaseLostError,
  MillraceError,
  NonRetryableError,
  PayloadTooLargeError,
  ResultTimeoutError,
  RetryLaterError,
  UnsupportedError,
  ValidationError,
  WorkerStoppingError,
  hasCode,
} from './core/errors.js'
export type { DeadReason, Issue } from './core/errors.js'
