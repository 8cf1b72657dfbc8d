// The thread that holds the connection of one driver. scripts/thread.mjs makes one piece of text of this file and all that it
// imports, which src/drivers/sqlite/carrier.ts starts.
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { createBack } from './back.js'
import type { ThreadData } from './carrier.js'
import { nodeSqlite, type SqliteConstructor } from './engine.js'
import { packError } from './errors.js'
import type { Reply, Turn } from './protocol.js'

const { library, options } = workerData as ThreadData
const port = parentPort!

const engine = (): SqliteConstructor =>
  library === 'node:sqlite' ? nodeSqlite()! : (createRequire(library)(library) as SqliteConstructor)

const back = createBack(options, engine, (reply) => port.postMessage(packed(reply)))

port.on('message', (turn: Turn | null) => {
  if (turn === null) port.close()
  else back.receive(turn)
})

function packed(reply: Reply): Reply {
  if (reply.failures === undefined && reply.acked === undefined) return reply
  return {
    ...reply,
    ...(reply.failures && { failures: reply.failures.map(([n, error]) => [n, packError(error)] as const) }),
    ...(reply.acked && {
      acked: reply.acked.map(
        ([n, lost, error]) => [n, lost, error === undefined ? undefined : packError(error)] as const,
      ),
    }),
  }
}
