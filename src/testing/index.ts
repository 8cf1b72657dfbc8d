// For tests: the suite that proves a driver, ours or yours.
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
