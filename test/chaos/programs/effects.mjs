// The effects file of chaos programs. One short line per effect, each a single write to the end of the file, so that what was
// written survives kill -9 of the writer. A line: verb, outcome, job, run, attempt, process, pid, milliseconds (monotonic,
// the same clock in every process).
import { openSync, writeSync } from 'node:fs'
import { wrapDelivery } from 'millrace/driver'

/** Options that the runner gives to a program, as JSON in its environment. */
export const options = JSON.parse(process.env.CHAOS)

const fd = openSync(options.effects, 'a')

export function effect(verb, outcome, id, run = 0, attempt = 0) {
  const at = Number(process.hrtime.bigint() / 1000n) / 1000
  writeSync(fd, `${verb} ${outcome} ${id} ${run} ${attempt} ${options.name} ${process.pid} ${at}\n`)
}

/** The run of each job that was handed to this process last. */
const runs = new Map()
export const runOf = (id) => runs.get(id)

/** The same driver; what is handed over, settled, refused and lost goes to the effects file. */
export function tapped(driver) {
  return {
    ...driver,
    broker: {
      ...driver.broker,
      consume: (o) => driver.broker.consume({ ...o, onDelivery: (delivery) => o.onDelivery(tappedDelivery(delivery)) }),
    },
  }
}

function tappedDelivery(delivery) {
  const { run, attempt } = delivery
  const { id } = delivery.envelope
  runs.set(id, run)
  if (options.takes) effect('take', '-', id, run, attempt)
  delivery.onLost((why) => {
    if (why !== 'cancelled') effect('lost', why, id, run, attempt)
  })
  const settling = (verb) => async (o) => {
    try {
      await delivery[verb](o)
    } catch (error) {
      effect(verb, error.code === 'ERR_LEASE_LOST' ? 'lost' : 'error', id, run, attempt)
      throw error
    }
    effect(verb, 'ok', id, run, attempt)
  }
  return wrapDelivery(delivery, {
    ack: settling('ack'),
    retry: settling('retry'),
    dead: settling('dead'),
    release: settling('release'),
  })
}

/** The runner is gone, also when it was killed: so are we. */
export function endWithRunner() {
  process.stdin
    .on('end', () => process.kill(process.pid, 'SIGKILL'))
    .on('error', () => {})
    .resume()
  process.stdin.unref()
}
