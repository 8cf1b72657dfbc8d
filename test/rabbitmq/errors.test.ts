// What a broker refuses comes out as an error that says what to do, and no error or log line has the password in it.
import type { Channel } from 'amqplib'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { refusalError } from '../../src/drivers/rabbitmq/errors.js'
import { createLink, type Link, type Live } from '../../src/drivers/rabbitmq/link.js'
import { settingsOf, type RabbitmqSettings } from '../../src/drivers/rabbitmq/options.js'
import { missingPermissions, onOwnChannel, serverOf } from '../../src/drivers/rabbitmq/probe.js'
import { useFolder } from '../support/folder.js'
import { startProxy } from '../support/proxy.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const SECRET = 's3cret-Pa55'
const links: Link[] = []
const ends: (() => unknown)[] = []
const logged: string[] = []
const failures: unknown[] = []

afterEach(async () => {
  for (const link of links.splice(0)) await link.close()
  for (const end of ends.splice(0)) await end()
}, 60_000)

afterAll(() => {
  expect(inspect([logged, failures], { depth: 20 })).not.toContain(SECRET)
})

function linkTo(settings: RabbitmqSettings): Link {
  const link = createLink({
    purpose: 'publish',
    settings,
    log: (level, message, fields) => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
  })
  links.push(link)
  return link
}

/** The message with which nobody is let in. */
async function refusedBy(settings: RabbitmqSettings, within = 10_000): Promise<string> {
  try {
    await linkTo(settings).open({ within })
  } catch (error) {
    failures.push(error)
    expect(error).toMatchObject({ code: 'ERR_BROKER_UNAVAILABLE', outcome: 'not-sent' })
    return (error as Error).message
  }
  return 'no error'
}

/** A server that says `greeting` to whoever comes. */
async function stranger(greeting: string): Promise<RabbitmqSettings> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end(greeting)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(() => server.close())
  return settingsOf({ hosts: `127.0.0.1:${(server.address() as AddressInfo).port}`, password: SECRET })
}

describe('where no RabbitMQ is', () => {
  it('nothing listens', async () => {
    const said = await refusedBy(settingsOf({ hosts: '127.0.0.1:1', password: SECRET }), 50)
    expect(said).toMatch(/Nothing listens at amqp:\/\/127\.0\.0\.1:1\/%2F.*Start RabbitMQ/)
  })

  it('the name is unknown', async () => {
    expect(await refusedBy(settingsOf({ hosts: 'not-there.invalid', password: SECRET }), 500)).toMatch(
      /"not-there\.invalid" is not known to DNS|did not answer/,
    )
  })

  it.each(['HTTP/1.1 400 Bad Request\r\n\r\n', 'SSH-2.0-OpenSSH_9.0\r\n'])('%j answers', async (greeting) => {
    expect(await refusedBy(await stranger(greeting), 300)).toMatch(/speaks? (no|not speak) AMQP|does not speak AMQP/)
  })

  it('TLS is asked of a port without it', async () => {
    const settings = { ...(await stranger('220 mail ready\r\n')), tls: {} }
    expect(await refusedBy(settings)).toMatch(/speaks no TLS.*amqp:\/\//)
  })

  it('another product answers, or one too old', () => {
    const server = (properties: object) => () =>
      serverOf({ connection: { serverProperties: properties } } as unknown as Live['connection'], 'amqp://h:5672/%2F')
    expect(server({ product: 'LavinMQ', version: '2.0.0' })).toThrow(/it is "LavinMQ" 2\.0\.0.*RabbitMQ 3\.10/)
    expect(server({ product: 'RabbitMQ', version: '3.9.29' })).toThrow(/version 3\.9\.29.*3\.10 or later/)
    expect(server({ product: 'RabbitMQ', version: '4.2.0', capabilities: {} })).toThrow(/publisher_confirms/)
  })
})

await describeRabbitmq('what it refuses', (rabbitmq) => {
  /** The error of what is asked on a channel of its own. */
  async function refusal(ask: (channel: Channel) => Promise<unknown>, settings = rabbitmq.settings): Promise<Error> {
    const { connection } = await linkTo(settings).open({ within: 10_000 })
    try {
      await onOwnChannel(connection, ask)
    } catch (error) {
      const said = refusalError(error, settings)
      failures.push(said)
      return said
    }
    throw new Error('It was not refused.')
  }

  it('a wrong password', async () => {
    const said = await refusedBy({ ...rabbitmq.settings, password: SECRET })
    expect(said).toMatch(/refused the user "\w+" or its password \(403 ACCESS_REFUSED\)/)
  })

  it('a vhost that is not there', async () => {
    const said = await refusedBy({ ...rabbitmq.settings, vhost: 'not there' })
    expect(said).toMatch(/refused the virtual host "not there" \(530 NOT_ALLOWED\).*rabbitmqctl add_vhost/)
  })

  it('a queue that exists with other arguments', async () => {
    const name = 'millrace.errors-other'
    const error = await refusal(async (channel) => {
      await channel.assertQueue(name, { durable: true, expires: 60_000 })
      await channel.assertQueue(name, { durable: true, expires: 60_000, arguments: { 'x-message-ttl': 5 } })
    })
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' })
    expect(error.message).toMatch(
      /queue "millrace\.errors-other".*another x-message-ttl: it has none, Millrace needs '5'.*rabbitmqctl delete_queue millrace\.errors-other/,
    )
  })

  it('a queue that is not there', async () => {
    const error = await refusal((channel) => channel.checkQueue('millrace.errors-missing'))
    expect(error.message).toMatch(/no queue 'millrace\.errors-missing'.*millrace setup/)
  })

  it("a queue of another program's connection", async () => {
    const other = await linkTo(rabbitmq.settings).open({ within: 10_000 })
    await (await other.connection.createChannel()).assertQueue('millrace.errors-exclusive', { exclusive: true })
    const error = await refusal((channel) => channel.checkQueue('millrace.errors-exclusive'))
    expect(error.message).toMatch(/exclusive to another connection/)
  })

  it('a name that is reserved', async () => {
    const error = await refusal((channel) => channel.assertQueue('amq.mine'))
    expect(error.message).toMatch(/reserved prefix.*another name/)
  })

  it('what the user has no permission for', { timeout: 90_000 }, async ({ skip }) => {
    const { ctl, settings } = rabbitmq
    skip(!ctl, 'nobody makes users for us here (no rabbitmqctl)')
    const user = `millrace-test-${process.pid}`
    await ctl!('add_user', user, SECRET)
    ends.push(() => ctl!('delete_user', user))
    const theirs = { ...settings, username: user, password: SECRET }
    expect(await refusedBy(theirs)).toMatch(/may not enter it.*rabbitmqctl set_permissions -p/)
    await ctl!('set_permissions', '-p', settings.vhost, user, '^$', '^$', '^millrace\\..*')
    const { connection } = await linkTo(theirs).open({ within: 10_000 })
    expect(await missingPermissions(connection, 'millrace.')).toEqual(['configure', 'write', 'default exchange'])
    expect(await missingPermissions(connection, 'other.')).toEqual(['configure', 'write', 'read', 'default exchange'])
    const error = await refusal((channel) => channel.assertQueue('millrace.errors-forbidden'), theirs)
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' })
    expect(error.message).toMatch(/lacks .*permission.*rabbitmqctl set_permissions -p \S+ millrace-test-\d+ /)
    await ctl!(
      'set_permissions',
      '-p',
      settings.vhost,
      user,
      '^millrace\\.',
      '^(millrace\\.|amq\\.default$)',
      '^millrace\\.',
    )
    expect(await missingPermissions(connection, 'millrace.')).toEqual([])
  })

  describe('over TLS', () => {
    const folder = useFolder()
    const certificate = (name: string) => {
      const [key, cert] = [join(folder(), `${name}.key`), join(folder(), `${name}.pem`)]
      const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
      const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
      execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' })
      return { key: readFileSync(key), cert: readFileSync(cert) }
    }
    const throughTls = async (tls: Parameters<typeof startProxy>[1]) => {
      const proxy = await startProxy(rabbitmq.settings.hosts[0]!, tls)
      ends.push(() => proxy.close())
      return [{ host: '127.0.0.1', port: proxy.port }]
    }

    it('trusts whom it is told to trust, and a name it is told', async () => {
      const own = certificate('mq.test')
      const hosts = await throughTls(own)
      const trusting = { ...rabbitmq.settings, hosts, tls: { ca: own.cert, servername: 'mq.test' } }
      const { server } = await linkTo(trusting).open({ within: 10_000 })
      expect(server.at).toMatch(/^amqps:/)
      expect(await refusedBy({ ...trusting, tls: {} })).toMatch(/signed by nobody that this process trusts.*tls\.ca/)
      expect(await refusedBy({ ...trusting, tls: { ca: own.cert, servername: 'other.test' } })).toMatch(
        /certificate is for another name.*servername/,
      )
      const careless = { ...trusting, tls: { rejectUnauthorized: false } }
      expect((await linkTo(careless).open({ within: 10_000 })).generation).toBe(1)
    })

    it('shows its certificate where one is asked for', async () => {
      const [own, client] = [certificate('mq.test'), certificate('client.test')]
      const hosts = await throughTls({ ...own, ca: client.cert, requestCert: true, rejectUnauthorized: true })
      const tls = { ca: own.cert, servername: 'mq.test' }
      const link = linkTo({ ...rabbitmq.settings, hosts, tls: { ...tls, ...client } })
      expect((await link.open({ within: 10_000 })).generation).toBe(1)
      expect(await refusedBy({ ...rabbitmq.settings, hosts, tls }, 500)).toMatch(/tls\.cert|hung up/)
    })
  })
})

describe('what a broker says', () => {
  let settings: RabbitmqSettings
  beforeAll(() => {
    settings = settingsOf({ password: SECRET })
  })
  const said = (code: number, text: string) =>
    refusalError(
      Object.assign(new Error(`Channel closed by server: ${code} (X) with message "${text}"`), { code }),
      settings,
    )

  it.each([
    [
      406,
      'PRECONDITION_FAILED - message size 1001 is larger than max size 1000',
      'ERR_PAYLOAD_TOO_LARGE',
      /1001.*1000/,
    ],
    [406, 'PRECONDITION_FAILED - message size 9 is larger than configured max size 8', 'ERR_PAYLOAD_TOO_LARGE', /9.*8/],
    [
      406,
      'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms.',
      'ERR_BROKER_UNAVAILABLE',
      /consumer_timeout.*consumerTimeout/,
    ],
    [
      320,
      "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
      'ERR_BROKER_UNAVAILABLE',
      /stopping/,
    ],
    [404, "NOT_FOUND - no queue 'q' in vhost '/'", 'ERR_CONFIGURATION', /millrace setup/],
    [
      404,
      "NOT_FOUND - home node 'rabbit@a' of durable queue 'q' in vhost '/' is down or inaccessible",
      'ERR_BROKER_UNAVAILABLE',
      /node/,
    ],
    [501, 'FRAME_ERROR - type 1', 'ERR_BROKER_UNAVAILABLE', /proxy/],
    [506, 'RESOURCE_ERROR - too many channels', 'ERR_BROKER_UNAVAILABLE', /rabbitmqctl status/],
    [530, 'NOT_ALLOWED - queue limit in vhost is reached', 'ERR_CONFIGURATION', /list_vhost_limits/],
    [540, 'NOT_IMPLEMENTED - stream', 'ERR_CONFIGURATION', /enable_feature_flag/],
    [541, 'INTERNAL_ERROR', 'ERR_BROKER_UNAVAILABLE', /541 INTERNAL_ERROR/],
  ])('%i %s', (code, text, ours, message) => {
    const error = said(code, text)
    expect(error).toMatchObject({ code: ours })
    expect(error.message).toMatch(message)
  })

  it('is left alone when it is no refusal', () => {
    const error = new Error('something else')
    expect(refusalError(error, settings)).toBe(error)
  })
})
