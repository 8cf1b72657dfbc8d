// A RabbitMQ of our own, from the installed rabbitmq-server: one that may be stopped, cut off and killed without anybody else
// noticing. Its ports are free ones, its files lie in a folder of its own, and it ends with this process, however that ends.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export interface RabbitmqNode {
  readonly port: number
  /** Where clients dial, for the vhost `/`. */
  readonly url: string
  urlOf(vhost: string): string
  /** Run rabbitmqctl on it; answers what it prints. */
  ctl(...args: readonly string[]): Promise<string>
  addVhost(name: string): Promise<void>
  /** The broker goes, its Erlang node stays: `rabbitmqctl stop_app`. */
  stopApp(): Promise<void>
  startApp(): Promise<void>
  /** The server closes the connections of all clients. */
  closeConnections(): Promise<void>
  /** kill -9 of the node, as when a machine loses power. */
  kill(): Promise<void>
  /** Start it again after `kill`, on the same port and files. */
  start(): Promise<void>
  /** Kill it and remove its files, at once: to be called when a process exits, too. */
  remove(): void
  /** The same, for who can wait until it has ended. */
  stop(): Promise<void>
}

/** Debian's programs in /usr/sbin change the user and lose the environment; those that they call do neither. */
const PLACES = ['/usr/lib/rabbitmq/bin', ...(process.env['PATH'] ?? '').split(delimiter)]
const PATIENCE = 90_000
/**
 * What a queue hands on to another that has just lost it, as in a crash of the broker, is handed on again after this time; 3
 * minutes by default, longer than a test waits.
 */
const SETTINGS = '[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].'
const STEP = 50
/**
 * All in one process group, which is killed when our end of its standard input closes. The name server is its own, too: one
 * that the node starts by itself would outlive it, and that of the machine is not ours to rely on.
 */
const SCRIPT = `
exec 3<&0 </dev/null
(cat <&3 >/dev/null; kill -KILL 0) &
exec 3<&-
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.05; done
exec "$0"`
const run = promisify(execFile)

/** Path of one of RabbitMQ's own programs; `undefined` where it is not installed. */
export function installed(program: 'rabbitmq-server' | 'rabbitmqctl'): string | undefined {
  return PLACES.map((place) => join(place, program))
    .filter((file) => existsSync(file))
    .map((file) => (existsSync(join(dirname(file), 'rabbitmq-env')) ? file : realpathSync(file)))
    .find((file) => existsSync(join(dirname(file), 'rabbitmq-env')))
}

/** @throws Error with what the node printed, when it does not start; nothing is left of it then */
export async function startRabbitmq(): Promise<RabbitmqNode> {
  const [server, control] = [installed('rabbitmq-server'), installed('rabbitmqctl')]
  if (server === undefined || control === undefined)
    throw new Error('RabbitMQ is not installed: there is no rabbitmq-server in PATH.')
  const folder = mkdtempSync(join(tmpdir(), 'millrace-rabbitmq-'))
  const [port, distribution, names] = await freePorts(3)
  const file = (name: string) => join(folder, name)
  writeFileSync(file('environment'), '')
  writeFileSync(file('enabled_plugins'), '[].')
  writeFileSync(file('advanced.config'), SETTINGS)
  const env = {
    ...process.env,
    HOME: folder,
    ERL_EPMD_PORT: String(names),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `millrace-${process.pid}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: file('data'),
    RABBITMQ_LOG_BASE: file('log'),
    RABBITMQ_CONF_ENV_FILE: file('environment'),
    RABBITMQ_CONFIG_FILE: file('none'),
    RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
    LC_ALL: 'C.UTF-8', // Elixir complains of any other
  }
  let child: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()
  const remove = () => {
    if (child?.pid !== undefined) killGroup(child.pid)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async function start(): Promise<void> {
    const output = openSync(file('output'), 'a')
    const own = spawn('sh', ['-c', SCRIPT, server!], {
      cwd: folder,
      env,
      detached: true,
      stdio: ['pipe', output, output],
    })
    closeSync(output)
    own.stdin?.on('error', () => {}) // it ended before us
    child = own
    ended = new Promise((resolve) => own.on('close', resolve).on('error', resolve))
    for (const since = performance.now(); !(await answers(port!)); await sleep(STEP)) {
      if (own.exitCode === null && own.signalCode === null && performance.now() - since < PATIENCE) continue
      const printed = readFileSync(file('output'), 'utf8').trim().split('\n').slice(-15).join('\n')
      remove()
      throw new Error(`RabbitMQ did not start on port ${port}. It printed:\n${printed}`)
    }
  }
  const ctl = async (...args: readonly string[]) => {
    const { stdout } = await run(control, ['--silent', ...args], {
      env,
      cwd: folder,
      timeout: PATIENCE,
    })
    return stdout
  }

  const urlOf = (vhost: string) => `amqp://guest:guest@127.0.0.1:${port}/${encodeURIComponent(vhost)}`
  async function kill(): Promise<void> {
    if (child?.pid !== undefined) killGroup(child.pid)
    await ended
    // The shell may be gone before the node has let its port go.
    while (await answers(port!)) await sleep(STEP)
  }

  await start()
  return {
    port: port!,
    url: urlOf('/'),
    urlOf,
    ctl,
    async addVhost(name) {
      await ctl('add_vhost', name)
      await ctl('set_permissions', '-p', name, 'guest', '.*', '.*', '.*')
    },
    stopApp: async () => void (await ctl('stop_app')),
    startApp: async () => void (await ctl('start_app')),
    closeConnections: async () => void (await ctl('close_all_connections', '--global', 'closed on purpose')),
    kill,
    start,
    remove,
    async stop() {
      await kill()
      remove()
    },
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Ports that nobody listens on; held together, so that they are different ones. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}
