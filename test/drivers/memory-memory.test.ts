// A pair passes the suite: a broker without memory, and the memory driver as its store.
import { describe, it } from 'vitest'
import { conformance } from '../../src/testing/index.js'
import { besideMemory } from '../support/pair.js'

conformance(besideMemory, { describe, it })
