// What would disturb everybody on a shared broker: restarts and memory alarms, on a RabbitMQ of this file's own.
import { afterAll, describe, expect, it } from 'vitest'
import { refusalError } from '../../src/drivers/rabbitmq/errors.js'
import { createLink, type Link, type Live } from '../../src/drivers/rabbitmq/link.js'
import { onOwnChannel } from '../../src/drivers/rabbitmq/probe.js'
import { settingsOf } from '../../src/drivers/rabbitmq/options.js'
import { optionsFromUrl } from '../../src/drivers/rabbitmq/url.js'
import { installed, startRabbitmq } from '../support/rabbitmq-node.js'

const there = installed('rabbitmq-server') !== undefined
if (!there)
  process.stderr.write('\nSkipped: RabbitMQ under alarm and restarted: rabbitmq-server is not installed here\n')

describe.skipIf(!there)('a RabbitMQ of its own', { timeout: 150_000 }, () => {
  const starting = there ? startRabbitmq() : undefined
  const links: Link[] = []
  afterAll(async () => {
    for (const link of links) await link.close()
    await (await starting)?.stop()
  }, 60_000)

  async function open(): Promise<{ link: Link; live: Live; ctl: (...args: readonly string[]) => Promise<string> }> {
    const { url, ctl } = await starting!
    const link = createLink({ purpose: 'publish', settings: settingsOf(optionsFromUrl(url)), log: () => {} })
    links.push(link)
    return { link, live: await link.open({ within: 10_000 }), ctl }
  }

  it('tells when the broker takes no messages, and when it takes them again', async () => {
    const { link, live, ctl } = await open()
    const told: (string | undefined)[] = []
    let heard = () => {}
    link.onBlocked((reason) => {
      told.push(reason)
      heard()
    })
    const next = () => new Promise<void>((resolve) => (heard = resolve))
    const channel = await live.connection.createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const blocked = next()
    await ctl('set_vm_memory_high_watermark', '0.00001')
    channel.sendToQueue(queue, Buffer.from('{}')) // only then is this connection blocked
    await blocked
    expect(link.blocked).toMatch(/memory/)
    const unblocked = next()
    await ctl('set_vm_memory_high_watermark', '0.4')
    await unblocked
    expect(link.blocked).toBeUndefined()
    expect(told).toHaveLength(2)
    await channel.waitForConfirms()
  })

  it('closes in time while the broker takes no messages', async () => {
    const { link, live, ctl } = await open()
    const channel = await live.connection.createConfirmChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const blocked = new Promise<void>((resolve) => link.onBlocked(() => resolve()))
    await ctl('set_vm_memory_high_watermark', '0.00001')
    channel.on('error', () => {})
    channel.sendToQueue(queue, Buffer.from('{}'))
    await blocked
    await link.close()
    await ctl('set_vm_memory_high_watermark', '0.4')
    expect(link.live).toBeUndefined()
  })

  it('says that a message is too large for the broker', async () => {
    const { link, ctl } = await open()
    await ctl(
      'eval',
      'application:set_env(rabbit, max_message_size, 1000), persistent_term:put(max_message_size, 1000).',
    )
    const { connection } = link.live!
    const refused = await onOwnChannel(connection, async (channel) => {
      const { queue } = await channel.assertQueue('', { exclusive: true })
      const ended = new Promise<Error>((resolve) => channel.once('error', resolve))
      channel.sendToQueue(queue, Buffer.alloc(2000))
      return ended
    })
    const error = refusalError(refused, settingsOf({}))
    expect(error).toMatchObject({ code: 'ERR_PAYLOAD_TOO_LARGE', bytes: 2000, limit: 1000 })
  })

  it('is up again after the broker was restarted', async () => {
    const { link, ctl } = await open()
    const second = new Promise<Live>((resolve) => {
      link.onUp((live) => {
        if (live.generation > 1) resolve(live)
      })
    })
    const gone = new Promise<Error>((resolve) => link.onDown((error) => resolve(error)))
    await ctl('stop_app')
    expect((await gone).message).toMatch(/320|Unexpected close|ECONNRESET/)
    expect(link.live).toBeUndefined()
    await ctl('start_app')
    expect((await second).generation).toBe(2)
  })
})
