// A broker without a store passes the part of the suite that applies to it, and refuses the rest. It has no column in the
// table: users cannot have it.
import { describe, it } from 'vitest'
import { conformance } from '../../src/testing/index.js'
import { bareMemory } from '../support/bare.js'

let n = 0
const create = async () => {
  const name = `bare-${n++}`
  return { open: (o: object) => bareMemory({ ...o, name }), destroy: async () => {} }
}
conformance({ name: 'bare', create }, { describe, it })
