// Options and URLs of the rabbitmq driver: what they come to, what is refused, and that no secret is ever shown.
import { describe, expect, it } from 'vitest'
import { settingsOf, shownBroker, type RabbitmqOptions } from '../../src/drivers/rabbitmq/options.js'
import { optionsFromUrl } from '../../src/drivers/rabbitmq/url.js'

const fromUrl = (url: string) => settingsOf(optionsFromUrl(url))

function refusal(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' })
    return (error as Error).message
  }
  return 'no error'
}

describe('a URL', () => {
  it('has the defaults of RabbitMQ', () => {
    expect(fromUrl('amqp://')).toMatchObject({
      hosts: [{ host: 'localhost', port: 5672 }],
      username: 'guest',
      password: 'guest',
      vhost: '/',
      tls: undefined,
      prefix: 'millrace',
      heartbeat: 8000,
      frameMax: 131_072,
      maxCrashes: 3,
      consumerTimeout: 1_800_000,
    })
  })

  it('names user, hosts and vhost, percent-encoded', () => {
    const settings = fromUrl('amqp://us%40er:p%2Fa%23ss%3A@a.example:5673,b.example,[::1]:5675/%2Fmy%20vhost')
    expect(settings).toMatchObject({
      hosts: [
        { host: 'a.example', port: 5673 },
        { host: 'b.example', port: 5672 },
        { host: '::1', port: 5675 },
      ],
      username: 'us@er',
      password: 'p/a#ss:',
      vhost: '/my vhost',
    })
    expect(shownBroker(settings)).toBe('amqp://a.example:5673,b.example:5672,[::1]:5675/%2Fmy%20vhost')
  })

  it('has settings', () => {
    const url =
      'amqp://h/v?heartbeat=10&connectTimeout=2s&frameMax=8192&confirmWindow=5&maxCrashes=2&consumerTimeout=1h&prefix=app&connectionName=shop'
    expect(fromUrl(url)).toMatchObject({
      heartbeat: 10_000,
      connectTimeout: 2000,
      frameMax: 8192,
      confirmWindow: 5,
      maxCrashes: 2,
      consumerTimeout: 3_600_000,
      prefix: 'app',
      connectionName: 'shop',
    })
    expect(fromUrl('amqp://h?heartbeat=30s&consumerTimeout=false')).toMatchObject({
      heartbeat: 30_000,
      consumerTimeout: undefined,
    })
  })

  it('speaks TLS as amqps', () => {
    expect(fromUrl('amqps://h')).toMatchObject({ hosts: [{ host: 'h', port: 5671 }], tls: {} })
    expect(fromUrl('amqps://h?verify=verify_none&server_name_indication=mq')).toMatchObject({
      tls: { rejectUnauthorized: false, servername: 'mq' },
    })
  })

  it.each([
    ['amqp://h?nonsense=1', /no setting "nonsense".*heartbeat/],
    ['amqp://h?heartbeat=0', /whole seconds/],
    ['amqp://h?heartbeat=soon', /heartbeat/],
    ['amqp://h?frameMax=4096', /frameMax: 4096 .* 8192/],
    ['amqp://h?maxCrashes=x', /maxCrashes: "x"/],
    ['amqp://h?consumerTimeout=5s', /once a minute/],
    ['amqp://h?prefix=a.b', /prefix: "a.b"/],
    ['amqp://h?cacertfile=ca.pem', /amqps/],
    ['amqps://h?cacertfile=/not/there.pem', /\/not\/there\.pem, cannot be read/],
    ['amqps://h?verify=maybe', /verify_peer or verify_none/],
    ['amqp://h?auth=external', /needs `tls`/],
    ['amqp://h/a/b', /percent-encode/],
    ['amqp://h:99999', /hosts/],
    ['amqp://h/%zz', /percent-encoded/],
  ])('%s is refused', (url, message) => {
    expect(refusal(() => fromUrl(url))).toMatch(message)
  })

  it.each([
    'amqp://user:s3cret@h?nonsense=1',
    'amqp://user:s3cret@h/v?heartbeat=soon',
    'amqp://user:s3cret@h:port/v',
    'amqp://user:a/s3cret@h/v',
    'amqp://user:a?s3cret@h/v',
    'amqp://user:a?x=s3cret@h/v',
    'amqp://user:a#s3cret@h/v',
    'amqp://user:s3cret%zz@h/v',
    'amqp://user:s3cret',
    'amqp://user:s3cret/v',
    'amqp://user:a@s3cret@h:port',
    'amqp:user:s3cret@h',
  ])('a password is not shown when %s is refused', (url) => {
    const message = refusal(() => fromUrl(url))
    expect(message).not.toBe('no error')
    expect(message).not.toContain('s3cret')
  })
})

describe('options', () => {
  it.each([
    [{ url: 'amqp://h' }, /url/],
    [{ hosts: [] }, /at least one/],
    [{ hosts: 'user:s3cret@h' }, /no host/],
    [{ vhost: '' }, /vhost/],
    [{ password: 7 }, /password: give a text/],
    [{ tls: 'yes' }, /tls: give true/],
    [{ auth: 'kerberos' }, /auth/],
    [{ confirmWindow: 0 }, /confirmWindow: 0/],
    [{ heartbeat: 1500 }, /whole seconds/],
  ])('%o are refused', (options, message) => {
    const said = refusal(() => settingsOf(options as RabbitmqOptions))
    expect(said).toMatch(message)
    expect(said).not.toContain('s3cret')
  })
})
