// The sqlite driver passes the suite, on the SQLite library that this Node uses by default.
import { afterAll, describe, it } from 'vitest'
import { conformance } from '../../src/testing/index.js'
import { sqliteHarness } from '../support/sqlite.js'
import { resultsOf } from '../support/table.js'

const results = resultsOf('sqlite')
conformance(sqliteHarness, { describe, it }, results.add)
afterAll(results.save)
