// What the two processes of this example agree on: the one that asks for thumbnails, and the workers that make them.
import { defineTask } from 'millrace/contracts'
import { z } from 'zod'

export const makeThumbnail = defineTask('thumbnail.make', {
  input: z.object({ picture: z.string(), width: z.int().positive() }),
  output: z.object({ file: z.string(), pid: z.int() }),
  queue: 'thumbnails',
})
