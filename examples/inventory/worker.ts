// The worker: reads each file once. main.ts runs it in its own process, and more of them may help from other terminals:
//   npx millrace work examples/inventory/worker.ts --url sqlite:inventory.db
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { defineWorker, handle } from 'millrace'
import { mediaType, SAMPLE } from './media-type.js'
import { inventoryFile } from './tasks.js'

export default defineWorker({
  // More than a disk needs: jobs that end together are written to the database together.
  concurrency: 32,
  handlers: [
    handle(inventoryFile, async ({ path }, ctx) => {
      const hash = createHash('sha256')
      let bytes = 0
      let head = Buffer.alloc(0)
      // The signal ends the reading of a large file when the worker has to stop; its job is given back, not lost.
      for await (const chunk of createReadStream(path, { signal: ctx.signal }) as AsyncIterable<Buffer>) {
        hash.update(chunk)
        bytes += chunk.length
        if (head.length < SAMPLE) head = Buffer.concat([head, chunk.subarray(0, SAMPLE - head.length)])
      }
      return { bytes, sha256: hash.digest('hex'), type: await mediaType(head, bytes) }
    }),
  ],
})
