// The contract between who enqueues and who works: what a job is given, what it answers, when it is the same job.
import { createHash } from 'node:crypto'
import { defineTask, exponential } from 'millrace'
import { z } from 'zod'

/** A file as it was when it was listed. */
export const listedFile = z.object({ path: z.string(), mtimeMs: z.number(), size: z.number() })
export type ListedFile = z.infer<typeof listedFile>

/** What reading it told. */
export const fileFacts = z.object({ bytes: z.number(), sha256: z.string(), type: z.string() })

/** Take stock of one file. */
export const inventoryFile = defineTask('inventory.file', {
  input: listedFile,
  output: fileFacts,
  queue: 'inventory',
  // A file that cannot be read is mostly gone or forbidden for good, so it is not tried for long.
  retry: { maxAttempts: 3, backoff: exponential('200ms', { factor: 2 }) },
  // A large file on a slow disk takes longer than the 10 minutes that are the default.
  timeout: '2h',
  // One job per state of a file: enqueueing an unchanged file again answers the job that stands, with its result. The key
  // is a hash because keys are short and printable, and paths need be neither.
  unique: ({ path, mtimeMs, size }) => ({
    key: createHash('sha256').update(`${path}\0${mtimeMs}\0${size}`).digest('hex'),
    until: '30d',
  }),
})
