// RabbitMQ as a place to measure in: a virtual host for each measurement, empty at first and removed afterwards.
import { basename } from 'node:path'
import { connect } from 'amqplib'
import type { Service } from '../service.js'
import { adminOf, type Admin } from './admin.js'

/** Where the broker is that may be measured on. Its user must be allowed everything in a virtual host made for it. */
const URL_VARIABLE = 'MILLRACE_TEST_RABBITMQ_URL'
const LOCAL = 'amqp://guest:guest@127.0.0.1:5672'
/** For the processes that measure: not in their arguments, where everybody could read the password. */
const PLACE_VARIABLE = 'MILLRACE_BENCH_RABBITMQ_URL'
const PREFIX = 'millrace-bench-'

/** @throws when there is no broker, or nobody who could make a virtual host on it */
export async function openService(): Promise<Service> {
  const url = new URL(process.env[URL_VARIABLE] ?? LOCAL)
  const version = await versionAt(url)
  const admin = await adminOf(url)
  await removeLeftovers(admin)
  const live = new Set<string>()
  let next = 0
  return {
    versions: { rabbitmq: version },
    async withPlace(use) {
      const vhost = `${PREFIX}${process.pid}-${next++}`
      live.add(vhost)
      try {
        await admin.add(vhost, decodeURIComponent(url.username))
        const place = urlIn(url, vhost)
        const answer = await use({ [PLACE_VARIABLE]: place })
        await refuseLeft(place, await admin.queues(vhost))
        return answer
      } finally {
        await admin.remove(vhost)
        live.delete(vhost)
      }
    },
    async close() {
      for (const vhost of live) await admin.remove(vhost)
    },
  }
}

/** In a process that measures: the virtual host that it may use. */
export function serviceUrl(): string {
  const url = process.env[PLACE_VARIABLE]
  if (url === undefined) throw new Error(`${PLACE_VARIABLE} is not set: this process was not started by the bench.`)
  return url
}

/** A warm-up uses the same virtual host as what it warms up for, under names of its own. */
export const namespaceOf = (folder: string): string => basename(folder)

/** Streams: messages stay in them, and not all are jobs. Which jobs are dead the subject says. */
const STREAM = /\.(catalogue|dead)$/

/** Whatever a subject says of itself: when all is done, no queue holds a message. */
async function refuseLeft(place: string, queues: readonly string[]): Promise<void> {
  const connection = await connect(place)
  const channel = await connection.createChannel()
  for (const queue of queues.filter((name) => !STREAM.test(name))) {
    const { messageCount } = await channel.checkQueue(queue)
    if (messageCount > 0) throw new Error(`${messageCount} messages are left in the queue ${queue}.`)
  }
  await connection.close()
}

function urlIn(url: URL, vhost: string): string {
  const place = new URL(url)
  place.pathname = `/${encodeURIComponent(vhost)}`
  return place.href
}

async function versionAt(url: URL): Promise<string> {
  try {
    const connection = await connect(url.href)
    const { product, version } = connection.connection.serverProperties
    await connection.close()
    return `${product === 'RabbitMQ' ? '' : `${product} `}${version}`
  } catch (error) {
    const why = (error as Error).message
    throw new Error(`No RabbitMQ at ${url.host} (${why}). Start one, or name another in ${URL_VARIABLE}.`, {
      cause: error,
    })
  }
}

/** Of benches that were killed: their process is gone. */
async function removeLeftovers(admin: Admin): Promise<void> {
  for (const vhost of await admin.list()) {
    const pid = /^millrace-bench-(\d+)-\d+$/.exec(vhost)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) await admin.remove(vhost)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
