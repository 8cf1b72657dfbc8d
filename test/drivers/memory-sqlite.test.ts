// A pair passes the suite: a broker without memory, and sqlite as its store.
import { afterAll, describe, it } from 'vitest'
import { conformance } from '../../src/testing/index.js'
import { besideSqlite } from '../support/pair.js'
import { resultsOf } from '../support/table.js'

const results = resultsOf('memory+sqlite')
conformance(besideSqlite, { describe, it }, results.add)
afterAll(results.save)
