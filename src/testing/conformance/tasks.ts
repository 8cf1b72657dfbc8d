// Tasks that the cases share. Their schemas are written out, so that the suite needs no schema library.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { defineTask } from '../../core/task.js'
import { fixed } from '../../core/retry.js'
import { QUEUE } from './stage.js'

/** A schema of objects with a number `n`. */
export const withNumber: StandardSchemaV1<{ n: number }> = {
  '~standard': {
    version: 1,
    vendor: 'conformance',
    validate: (value) =>
      typeof (value as { n?: unknown } | undefined)?.n === 'number'
        ? { value: value as { n: number } }
        : { issues: [{ message: 'a number is expected', path: ['n'] }] },
  },
}

/** Takes and returns `{ n }`; three attempts without a pause. */
export const z = defineTask('numbers', {
  input: withNumber,
  output: withNumber,
  queue: QUEUE,
  retry: { maxAttempts: 3, backoff: fixed(0) },
})

/** Takes and returns nothing. */
export const other = defineTask('nothing', { queue: QUEUE, retry: { maxAttempts: 3, backoff: fixed(0) } })
