// Whoever makes virtual hosts: `rabbitmqctl` on the broker's own machine, else the management API.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { connect } from 'amqplib'

const run = promisify(execFile)

export interface Admin {
  list(): Promise<string[]>
  /** A virtual host in which `user` may do everything. */
  add(vhost: string, user: string): Promise<void>
  remove(vhost: string): Promise<void>
  /** Names of all its queues. */
  queues(vhost: string): Promise<string[]>
}

/** @throws when nobody can make virtual hosts on the broker at `url` */
export async function adminOf(url: URL): Promise<Admin> {
  for (const admin of [rabbitmqctl, managementOf(url)]) if (await serves(admin, url)) return admin
  throw new Error(
    `The bench makes a virtual host for each measurement, and can make none at ${url.host}. ` +
      `Run it where rabbitmqctl works, or turn on the management plugin (rabbitmq-plugins enable rabbitmq_management).`,
  )
}

/** Does it work at all, and on this broker rather than on another? */
async function serves(admin: Admin, url: URL): Promise<boolean> {
  const vhost = `millrace-bench-${process.pid}-0`
  try {
    await admin.add(vhost, decodeURIComponent(url.username))
  } catch {
    return false
  }
  try {
    const place = new URL(url)
    place.pathname = `/${vhost}`
    await (await connect(place.href)).close()
    return true
  } catch {
    return false
  } finally {
    await admin.remove(vhost)
  }
}

const ctl = (...args: string[]): Promise<{ stdout: string }> => run('rabbitmqctl', ['-q', ...args], { timeout: 60_000 })

async function namesBy(...args: string[]): Promise<string[]> {
  const { stdout } = await ctl(...args, 'name', '--no-table-headers')
  return stdout.split('\n').filter((name) => name !== '')
}

const rabbitmqctl: Admin = {
  list: () => namesBy('list_vhosts'),
  async add(vhost, user) {
    await ctl('add_vhost', vhost)
    await ctl('set_permissions', '-p', vhost, user, '.*', '.*', '.*')
  },
  async remove(vhost) {
    await ctl('delete_vhost', vhost)
  },
  queues: (vhost) => namesBy('list_queues', '-p', vhost),
}

function managementOf(url: URL): Admin {
  const base = `http://${url.hostname}:15672/api`
  const user = decodeURIComponent(url.username)
  const authorization = `Basic ${Buffer.from(`${user}:${decodeURIComponent(url.password)}`).toString('base64')}`
  async function ask(method: string, path: string, body?: object): Promise<Response> {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    })
    if (!response.ok) throw new Error(`${method} ${path} at the management API was answered with ${response.status}.`)
    return response
  }
  const of = (vhost: string) => `/vhosts/${encodeURIComponent(vhost)}`
  async function names(path: string): Promise<string[]> {
    return ((await (await ask('GET', path)).json()) as { name: string }[]).map(({ name }) => name)
  }
  return {
    list: () => names('/vhosts'),
    async add(vhost) {
      await ask('PUT', of(vhost))
      const everything = { configure: '.*', write: '.*', read: '.*' }
      await ask('PUT', `/permissions/${encodeURIComponent(vhost)}/${encodeURIComponent(user)}`, everything)
    },
    async remove(vhost) {
      await ask('DELETE', of(vhost))
    },
    queues: (vhost) => names(`/queues/${encodeURIComponent(vhost)}`),
  }
}
