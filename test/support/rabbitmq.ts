// The RabbitMQ that tests run on, and a virtual host of their own in it. Found by MILLRACE_TEST_RABBITMQ_URL, else on this
// machine, else started. Where none can be had, tests are skipped with the reason, and in CI they fail.
import { connect as dial } from 'amqplib'
import { execFile } from 'node:child_process'
import { hostname } from 'node:os'
import { promisify } from 'node:util'
import { afterAll, describe } from 'vitest'
import { optionsFromUrl } from '../../src/drivers/rabbitmq/url.js'
import { settingsOf, type RabbitmqSettings } from '../../src/drivers/rabbitmq/options.js'
import { installed, startRabbitmq } from './rabbitmq-node.js'

export interface Rabbitmq {
  /** With credentials, and with the vhost of this run. */
  readonly url: string
  readonly settings: RabbitmqSettings
  /** `rabbitmqctl` on it; `undefined` where it is not ours to control. */
  readonly ctl: ((...args: readonly string[]) => Promise<string>) | undefined
  /** Names of the queues and exchanges in the vhost of this run, but the built-in ones; `undefined` where nobody tells. */
  names(): Promise<{ readonly queues: readonly string[]; readonly exchanges: readonly string[] } | undefined>
  end(): Promise<void>
}

/** Milliseconds: each call of rabbitmqctl takes seconds on a busy machine. */
const LONG = 60_000
const LOCAL = 'amqp://guest:guest@127.0.0.1:5672'
const run = promisify(execFile)
const HOST = hostname().replace(/[^A-Za-z0-9]/g, '_')
const OWN = `millrace-test-${HOST}-`

let found: Promise<Rabbitmq> | undefined

/** One for this process; removed by `end`, or by the next run when this one was killed. @throws why there is none */
function findRabbitmq(): Promise<Rabbitmq> {
  return (found ??= find())
}

/** A `describe` for tests that need RabbitMQ. To be awaited at the top of a test file. */
export async function describeRabbitmq(name: string, tests: (rabbitmq: Rabbitmq) => void): Promise<void> {
  let rabbitmq: Rabbitmq
  try {
    rabbitmq = await findRabbitmq()
  } catch (error) {
    if (process.env['CI']) throw error
    const reason = error instanceof Error ? error.message : String(error)
    process.stderr.write(`\nSkipped: ${name}: ${reason}\n`)
    // oxlint-disable-next-line vitest/no-disabled-tests -- for the reason that is shown
    describe.skip(`${name} (${reason})`, () => {
      tests(undefined as never)
    })
    return
  }
  describe(`on RabbitMQ: ${name}`, () => {
    tests(rabbitmq)
  })
  afterAll(() => rabbitmq.end(), LONG)
}

async function find(): Promise<Rabbitmq> {
  const given = process.env['MILLRACE_TEST_RABBITMQ_URL']
  if (given) {
    await answers(given)
    return withVhost(given, localCtl(given))
  }
  if (await answers(LOCAL).then(yes, no)) return withVhost(LOCAL, localCtl(LOCAL))
  if (!installed('rabbitmq-server'))
    throw new Error(
      'there is no RabbitMQ: give MILLRACE_TEST_RABBITMQ_URL, or start one on 127.0.0.1:5672 with guest/guest, or install rabbitmq-server',
    )
  const node = await startRabbitmq()
  const rabbitmq = await withVhost(node.url, node.ctl)
  return { ...rabbitmq, end: () => node.stop() }
}

const yes = () => true
const no = () => false

async function answers(url: string): Promise<void> {
  const connection = await dial(url, { timeout: 3000 })
  await connection.close()
}

function localCtl(url: string): Rabbitmq['ctl'] {
  const { hosts } = settingsOf(optionsFromUrl(url))
  if (!hosts.every(({ host }) => host === 'localhost' || host === '127.0.0.1' || host === '::1')) return undefined
  return async (...args) => (await run('rabbitmqctl', ['--silent', ...args])).stdout
}

/** Who manages the broker: rabbitmqctl, or its management API. */
interface Manager {
  addVhost(name: string, user: string): Promise<void>
  deleteVhost(name: string): Promise<void>
  vhosts(): Promise<readonly string[]>
  names(vhost: string, kind: 'queues' | 'exchanges'): Promise<readonly string[]>
}

async function withVhost(url: string, ctl: Rabbitmq['ctl']): Promise<Rabbitmq> {
  const base = settingsOf(optionsFromUrl(url))
  const vhost = `${OWN}${process.pid}-${Date.now().toString(36)}`
  for (const manager of [...(ctl ? [byCtl(ctl)] : []), byApi(base)]) {
    try {
      await Promise.all([manager.addVhost(vhost, base.username), sweep(manager)])
    } catch {
      continue // that one does not answer, so the next
    }
    const own = new URL(url)
    own.pathname = `/${encodeURIComponent(vhost)}`
    return {
      url: own.href,
      settings: { ...base, vhost },
      ctl,
      async names() {
        const [queues, exchanges] = await Promise.all([
          manager.names(vhost, 'queues'),
          manager.names(vhost, 'exchanges'),
        ])
        return { queues, exchanges: exchanges.filter((one) => one !== '' && !one.startsWith('amq.')) }
      },
      end: () => manager.deleteVhost(vhost),
    }
  }
  // Nobody makes a vhost for us: the prefix of each place keeps runs apart.
  return { url, settings: base, ctl, names: async () => undefined, end: async () => {} }
}

/** Runs that were killed have left their vhosts behind; their names tell the process. */
async function sweep(manager: Manager): Promise<void> {
  for (const name of await manager.vhosts()) {
    const pid = name.startsWith(OWN) ? Number(name.slice(OWN.length).split('-')[0]) : NaN
    if (Number.isInteger(pid) && !isAlive(pid)) await manager.deleteVhost(name).catch(() => {}) // another run was first
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function byCtl(ctl: NonNullable<Rabbitmq['ctl']>): Manager {
  const lines = async (...args: readonly string[]) => (await ctl(...args)).split('\n').filter((line) => line !== '')
  return {
    async addVhost(name, user) {
      await ctl('add_vhost', name)
      await ctl('set_permissions', '-p', name, user, '.*', '.*', '.*')
    },
    deleteVhost: async (name) => void (await ctl('delete_vhost', name)),
    vhosts: () => lines('list_vhosts', 'name'),
    names: (vhost, kind) => lines(`list_${kind}`, '--no-table-headers', '-p', vhost, 'name'),
  }
}

/** https://www.rabbitmq.com/docs/http-api-reference */
function byApi(s: RabbitmqSettings): Manager {
  const call = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`http://${s.hosts[0]!.host}:15672/api/${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${s.username}:${s.password}`).toString('base64')}`,
        'content-type': 'application/json',
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`)
    const text = await response.text()
    return text === '' ? undefined : JSON.parse(text)
  }
  const named = (list: unknown) => (list as { name: string }[]).map(({ name }) => name)
  const enc = encodeURIComponent
  return {
    async addVhost(name, user) {
      await call('PUT', `vhosts/${enc(name)}`, {})
      await call('PUT', `permissions/${enc(name)}/${enc(user)}`, { configure: '.*', write: '.*', read: '.*' })
    },
    deleteVhost: async (name) => void (await call('DELETE', `vhosts/${enc(name)}`)),
    vhosts: async () => named(await call('GET', 'vhosts')),
    names: async (vhost, kind) => named(await call('GET', `${kind}/${enc(vhost)}`)),
  }
}
