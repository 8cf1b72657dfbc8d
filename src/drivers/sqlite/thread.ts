// The thread that holds the connection of one driver. scripts/thread.mjs makes one piece of text of this file and all that it
// imports, which src/drivers/sqlite/carrier.ts starts.
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { createBack } from './back.js'
import type { ThreadData } from './carrier.js'
import { nodeSqlite, type SqliteConstructor } from './engine.js'
import { mapErrors, packError } from './errors.js'
import type { Turn } from './protocol.js'

const { library, options } = workerData as ThreadData
const port = parentPort!

const engine = (): SqliteConstructor =>
  library === 'node:sqlite' ? nodeSqlite()! : (createRequire(library)(library) as SqliteConstructor)

const back = createBack(options, engine, (reply) => port.postMessage(mapErrors(reply, packError)))

port.on('message', (turn: Turn | null) => {
  if (turn === null) port.close()
  else back.receive(turn)
})
