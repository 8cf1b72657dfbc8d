// Signals: the first stops the worker with its grace, a second gives back at once.
import type { Duration } from '../core/duration.js'
import type { Logger } from '../observe/log.js'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Answers the function that removes the listeners again. */
export function onStopSignals(stop: (o?: { grace?: Duration }) => Promise<void>, log: Logger): () => void {
  let seen = 0
  const onSignal = (signal: NodeJS.Signals) => {
    seen += 1
    if (seen === 1)
      log.info({ signal }, 'Stopping after the running jobs. Send the signal again to give them back at once.')
    void stop(seen === 1 ? {} : { grace: 0 }).catch(() => {}) // its failure reaches whoever waits for `done`
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return () => {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}
