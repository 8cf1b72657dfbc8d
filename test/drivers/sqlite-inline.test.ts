// The sqlite driver passes the suite also with its connection on the main thread, where it lives when the SQLite library in
// use cannot be loaded in a thread.
import { describe, it } from 'vitest'
import { conformance } from '../../src/testing/index.js'
import { sqliteHarnessOf } from '../support/sqlite.js'

conformance(sqliteHarnessOf({ thread: false }), { describe, it })
