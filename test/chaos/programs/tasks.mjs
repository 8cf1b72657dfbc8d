// The tasks of the long chaos runs. What a job does stands in its input: { kind, ms }.
import { defineTask, fixed, unchecked } from 'millrace'

const retry = { maxAttempts: 3, backoff: fixed('20ms') }

export const work = defineTask('work', { input: unchecked(), retry, timeout: '2m' })
/** For handlers that do not end by themselves. */
export const hang = defineTask('hang', { input: unchecked(), retry: { maxAttempts: 1 }, timeout: '1s' })
