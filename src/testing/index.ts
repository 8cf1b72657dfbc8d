// For tests of what you build on Millrace, and the suite that proves a driver, ours or yours.
export { createTestClient } from './client.js'
export type { Enqueued, TestClient, TestClientOptions } from './client.js'
export type { RunCounts } from './runner.js'
export { runHandler } from './handler.js'
export type { ContextParts } from './handler.js'
export { withFaults } from './with-faults.js'
export type { Faulty } from './with-faults.js'
export type { Fault, FaultPoint } from './faults.js'
export { conformance, conformanceCases, conformanceTable, runCase } from './conformance/index.js'
export type {
  CaseResult,
  ConformanceCase,
  Hand,
  Harness,
  OpenOptions,
  Place,
  PromiseId,
  Stage,
} from './conformance/index.js'
