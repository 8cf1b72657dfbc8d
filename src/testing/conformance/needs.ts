// Reasons for which a case does not apply to a driver.
import type { ConformanceCase } from './case.js'

type Needs = NonNullable<ConformanceCase['needs']>

/** The case looks at what is remembered of jobs, or at shared state. */
export const memory: Needs = ({ remembers }) => (remembers ? undefined : 'keeps no jobs: add a store')

/** The case looks at results, and a broker without a store may tell them by replies. */
export const results: Needs = ({ remembers }, _place, { replies }) =>
  remembers || replies ? undefined : 'tells nobody how a job ended'

/** The case looks at dead jobs. */
export const deadJobs: Needs = ({ remembers }, _place, { deadLetters }) =>
  remembers || deadLetters ? undefined : 'shows no dead jobs'

/** The case is about a driver that remembers nothing. */
export const noMemory: Needs = ({ remembers }) => (remembers ? 'remembers jobs' : undefined)

/** The first reason of several. */
export const all =
  (...needs: readonly Needs[]): Needs =>
  (...o) => {
    for (const one of needs) {
      const reason = one(...o)
      if (reason !== undefined) return reason
    }
    return undefined
  }

/** Cases all of which look at what is remembered. */
export const remembering = (cases: readonly ConformanceCase[]): readonly ConformanceCase[] =>
  cases.map((one) => ({ ...one, needs: one.needs ? all(memory, one.needs) : memory }))
