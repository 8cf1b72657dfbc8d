// Test of the one value beside the types of the envelope.
import { expect, it } from 'vitest'
import { PARENT_HEADER } from './envelope.js'

it('the header with the id of the parent job is one of ours', () => {
  expect(PARENT_HEADER).toBe('millrace-parent')
})
