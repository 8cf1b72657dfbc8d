// Where the half with the connection runs: in a thread of its own, or on the main thread when the SQLite library in use
// cannot be loaded in a thread.
import { Worker } from 'node:worker_threads'
import { createBack, type BackOptions } from './back.js'
import type { SqliteConstructor } from './engine.js'
import { mapErrors, unpackError, type Packed } from './errors.js'
import type { StartCarrier } from './link.js'
import type { Reply } from './protocol.js'
import { THREAD_SOURCE } from './thread-source.js'

/** What a thread is started with: how to load the library, as it cannot be handed over, and the options. */
export interface ThreadData {
  /** `node:sqlite`, or the path of the file that exports the library. */
  readonly library: string
  readonly options: BackOptions
}

export function threadCarrier(data: ThreadData): StartCarrier {
  return (onReply, onLost) => {
    // From text rather than from a file: bundlers leave files behind.
    const thread = new Worker(THREAD_SOURCE, {
      eval: true,
      workerData: data,
      name: 'millrace-sqlite',
      // The thread needs nothing of what a program gives to its main thread: preloads, memory limits, flags.
      execArgv: [],
    })
    thread.unref()
    let ending = false
    const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
    thread.on('message', (reply: Reply) => {
      onReply(mapErrors(reply, (error) => unpackError(error as Packed)))
    })
    thread.on('error', (error) => onLost(error))
    void exited.then(() => {
      if (!ending) onLost(new Error('its thread ended unexpectedly'))
    })
    return {
      send: (turn) => thread.postMessage(turn),
      hold: (on) => (on ? thread.ref() : thread.unref()),
      async end() {
        ending = true
        thread.ref()
        thread.postMessage(null)
        await exited
      },
    }
  }
}

export function inlineCarrier(options: BackOptions, engine: SqliteConstructor): StartCarrier {
  return (onReply) => {
    const back = createBack(options, () => engine, onReply)
    let keepAlive: NodeJS.Timeout | undefined
    return {
      send: (turn) => back.receive(turn),
      hold(on) {
        if (on) keepAlive ??= setInterval(() => {}, 2 ** 30)
        else {
          clearInterval(keepAlive)
          keepAlive = undefined
        }
      },
      end: async () => {},
    }
  }
}
