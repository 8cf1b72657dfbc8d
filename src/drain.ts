// `drain`: moves waiting jobs from one client's driver to another's.
import { drainDriver, type DrainOptions, type Drained } from './client/drain.js'
import { partsOf, type Client } from './connect.js'
import { refuseUnknown } from './core/task.js'
import type { Driver } from './driver/driver.js'

/** The drivers behind two clients, connected. */
export async function driversOf(from: Client<never>, to: Client<never>): Promise<[from: Driver<any>, to: Driver<any>]> {
  const driverOf = async (client: Client<never>) => (await partsOf(client).session.open()) as Driver<any>
  return [await driverOf(from), await driverOf(to)]
}

/**
 * Move waiting and delayed jobs from one store to another, under their ids: none is lost, and none is run by both. Workers
 * may go on at both ends. Whatever ends it, run it again. Dead and finished jobs stay, and so do those in workers' hands.
 * A moved job has fresh attempts, and is remembered at the destination for a day at least.
 * @throws ConfigurationError when both are the same store, or a queue does not exist; BrokerUnavailableError when one of
 * them does not answer: what is held then is moved by the next run.
 */
export async function drain(o: { from: Client<never>; to: Client<never> } & DrainOptions): Promise<Drained> {
  refuseUnknown('drain()', o, ['from', 'to', 'queues', 'onProgress', 'onRefused', 'signal'])
  const { from, to, ...options } = o
  const [source, destination] = await driversOf(from, to)
  return drainDriver(source, destination, options)
}
