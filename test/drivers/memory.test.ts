// The memory driver passes the suite.
import { afterAll, describe, it } from 'vitest'
import { memory } from '../../src/drivers/memory/index.js'
import { conformance } from '../../src/testing/index.js'
import { resultsOf } from '../support/table.js'

const results = resultsOf('memory')
let n = 0
const create = async () => {
  const name = `test-${n++}`
  return { open: (o: object) => memory({ ...o, name }), destroy: async () => {} }
}
conformance({ name: 'memory', create }, { describe, it }, results.add)
afterAll(results.save)
