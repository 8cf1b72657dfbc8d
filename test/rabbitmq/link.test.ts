// The link heals: after the broker closes it, after a cut network, with the broker away at the start, and with a broker
// that takes no messages for a while.
import { afterEach, expect, it } from 'vitest'
import { createLink, type Link, type Live } from '../../src/drivers/rabbitmq/link.js'
import { settingsOf, type RabbitmqSettings } from '../../src/drivers/rabbitmq/options.js'
import { startProxy, type Proxy } from '../support/proxy.js'
import { startProgram } from '../support/process.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** The message of the error that comes. */
const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error: Error) => error.message,
  )

await describeRabbitmq('the link', (rabbitmq) => {
  const logged: string[] = []

  function linkTo(changes: Partial<RabbitmqSettings> = {}): Link {
    const link = createLink({
      purpose: 'publish',
      settings: { ...rabbitmq.settings, ...changes },
      log: (level, message) => void logged.push(`${level} ${message}`),
    })
    ends.push(() => link.close())
    return link
  }

  async function proxied(): Promise<{ proxy: Proxy; at: Partial<RabbitmqSettings> }> {
    const proxy = await startProxy(rabbitmq.settings.hosts[0]!)
    ends.push(() => proxy.close())
    return { proxy, at: { hosts: [{ host: '127.0.0.1', port: proxy.port }] } }
  }

  /** The connections as they come up. */
  function watch(link: Link): { next(): Promise<Live> } {
    const came: Live[] = []
    let waiting: ((live: Live) => void) | undefined
    ends.push(
      link.onUp((live) => {
        if (waiting) waiting(live)
        else came.push(live)
        waiting = undefined
      }),
    )
    return {
      next: async () => came.shift() ?? new Promise<Live>((resolve) => (waiting = resolve)),
    }
  }

  const down = (link: Link) => new Promise<Error>((resolve) => ends.push(link.onDown((error) => resolve(error))))

  it('opens once for all who ask, and dials nobody before', async () => {
    const { proxy, at } = await proxied()
    const link = linkTo(at)
    expect(proxy.connections()).toBe(0)
    const [one, two] = await Promise.all([link.open({ within: 5000 }), link.open({ within: 5000 })])
    expect(one).toBe(two)
    expect(one).toMatchObject({ generation: 1, server: { frameMax: 131_072 } })
    expect(one.server.version).toMatch(/^\d+\.\d+/)
    expect(proxy.connections()).toBe(1)
  })

  it('is up again after the network was cut, with a new generation, and tells of both', async () => {
    const { proxy, at } = await proxied()
    const link = linkTo(at)
    const ups = watch(link)
    expect((await ups.next()).generation).toBe(1)
    const gone = down(link)
    proxy.cut()
    expect((await gone).message).toBeTruthy()
    expect((await ups.next()).generation).toBe(2)
    expect(link.trouble).toBeUndefined()
  })

  it('is up again after the broker has closed the connection', async ({ skip }) => {
    skip(!rabbitmq.ctl, 'nobody lets us close connections here (no rabbitmqctl)')
    const link = linkTo()
    const ups = watch(link)
    await ups.next()
    const gone = down(link)
    await rabbitmq.ctl!('close_all_connections', '--vhost', rabbitmq.settings.vhost, 'on purpose')
    expect((await gone).message).toMatch(/320.*on purpose/)
    expect((await ups.next()).generation).toBe(2)
  })

  it('is up by itself once a broker that was away at the start is there', async () => {
    const { proxy, at } = await proxied()
    proxy.away()
    const link = linkTo(at)
    const ups = watch(link)
    await expect(link.open({ within: 150 })).rejects.toMatchObject({
      code: 'ERR_BROKER_UNAVAILABLE',
      outcome: 'not-sent',
    })
    expect(link.trouble).toMatch(/hung up/)
    const waiting = link.open({ within: 10_000 })
    proxy.mend()
    expect(await waiting).toBe(await ups.next())
  })

  it('rejects in time when the network swallows everything', async () => {
    const { proxy, at } = await proxied()
    proxy.freeze()
    const error = await linkTo(at)
      .open({ within: 100 })
      .catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'ERR_BROKER_UNAVAILABLE', outcome: 'not-sent' })
    expect((error as Error).message).toMatch(/did not answer within 100 ms/)
  })

  it('sees by its heartbeat that a connection is dead, and rejects what waits on it', async () => {
    const { proxy, at } = await proxied()
    const link = linkTo({ ...at, heartbeat: 1000 })
    const { connection } = await link.open({ within: 5000 })
    const channel = await connection.createChannel()
    channel.on('error', () => {})
    const gone = down(link)
    proxy.freeze()
    const pending = errorOf(channel.checkExchange('amq.direct'))
    expect((await gone).message).toMatch(/Heartbeat timeout/)
    expect(await pending).toMatch(/Channel ended/)
  })

  it('gives up a connection that somebody drops, and rejects what waits on it', async () => {
    const { proxy, at } = await proxied()
    const link = linkTo(at)
    const ups = watch(link)
    const live = await ups.next()
    const channel = await live.connection.createChannel()
    channel.on('error', () => {})
    proxy.freeze()
    const pending = errorOf(channel.checkExchange('amq.direct'))
    link.drop(live, new Error('no confirmation'))
    expect(await pending).toMatch(/Channel ended/)
    proxy.mend()
    expect((await ups.next()).generation).toBe(2)
    link.drop(live, new Error('of an older generation'))
    expect(link.live?.generation).toBe(2)
  })

  it('dials again when a listener could not set up what it needs', async () => {
    const link = linkTo()
    let tries = 0
    const done = new Promise<Live>((resolve) => {
      ends.push(
        link.onUp((live) => {
          if (++tries < 3) throw new Error('not yet')
          resolve(live)
        }),
      )
    })
    expect((await done).generation).toBe(3)
  })

  it('takes the next host when one is away', async () => {
    const { proxy, at } = await proxied()
    proxy.away()
    const hosts = [...at.hosts!, ...rabbitmq.settings.hosts]
    for (let n = 0; n < 4; n++) expect((await linkTo({ hosts }).open({ within: 5000 })).generation).toBe(1)
  })

  it('tells that the channel was closed by the broker without losing the connection', async () => {
    const link = linkTo()
    const { connection } = await link.open({ within: 5000 })
    const channel = await connection.createChannel()
    channel.on('error', () => {})
    const closed = new Promise((resolve) => channel.once('close', resolve))
    await expect(channel.checkQueue('millrace.not-there')).rejects.toThrow(/404/)
    await closed
    expect(link.live?.connection).toBe(connection)
  })

  it('sends what was written before it closes', async () => {
    const link = linkTo()
    const { connection } = await link.open({ within: 5000 })
    const channel = await connection.createChannel()
    const { queue } = await channel.assertQueue('', { durable: false, autoDelete: false, expires: 60_000 })
    for (let n = 0; n < 500; n++) channel.sendToQueue(queue, Buffer.alloc(1000))
    await link.close()
    const other = linkTo()
    const second = await (await other.open({ within: 5000 })).connection.createChannel()
    expect((await second.checkQueue(queue)).messageCount).toBe(500)
    await second.deleteQueue(queue)
  })

  it('closes at once while it dials, and refuses what comes after', async () => {
    const { proxy, at } = await proxied()
    proxy.freeze()
    const link = linkTo(at)
    const opening = errorOf(link.open({ within: 30_000 }))
    await link.close()
    expect(await opening).toMatch(/closed/)
    await expect(link.open({ within: 10 })).rejects.toMatchObject({ code: 'ERR_CLIENT_CLOSED' })
  })

  it('lets an idle process end without being closed, and not while it is held', async () => {
    const program = (then: string) => `
      import { createJiti } from 'jiti'
      const jiti = createJiti(${JSON.stringify(import.meta.url)})
      const { createLink } = await jiti.import('../../src/drivers/rabbitmq/link.ts')
      const { settingsOf } = await jiti.import('../../src/drivers/rabbitmq/options.ts')
      const { optionsFromUrl } = await jiti.import('../../src/drivers/rabbitmq/url.ts')
      const settings = settingsOf(optionsFromUrl(process.env.URL))
      const link = createLink({ purpose: 'publish', settings, log() {} })
      await link.open({ within: 5000 })
      ${then}`
    const env = { URL: rabbitmq.url }
    const node = (code: string) => startProgram(process.execPath, ['--input-type=module', '-e', code], { env })
    expect(await node(program('')).ended).toBe(0)
    const held = node(
      program(`
        const letGo = link.hold()
        // Only an answer of the broker ends this.
        link.live.connection.createChannel().then((channel) => channel.close()).then(() => { console.log('answered'); letGo() })`),
    )
    await held.line(/answered/)
    expect(await held.ended).toBe(0)
  })

  it('shows the password in no log line', () => {
    expect(logged.length).toBeGreaterThan(0)
    const secret = settingsOf({ password: rabbitmq.settings.password }).password
    if (secret !== 'guest') expect(logged.join('\n')).not.toContain(secret)
    expect(logged.join('\n')).not.toMatch(/:\/\/[^/\s]*@/)
  })
})
