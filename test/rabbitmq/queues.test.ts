// Queues that are deleted, that exist in another shape, and payloads that fit none.
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { EventEnvelope } from '../../src/driver/events.js'
import { codeOf, envelope } from '../../src/testing/conformance/stage.js'
import { site, type Site } from '../support/rabbitmq-hands.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const eventOf = (headers: Record<string, string>): EventEnvelope => ({
  id: 'e',
  name: 'happened',
  body: '{}',
  headers,
  publishedAt: Date.now(),
  keep: { completed: 0, dead: 0, log: 0 },
})

await describeRabbitmq('queues', (rabbitmq) => {
  let here: Site
  beforeEach(async () => {
    here = await site(rabbitmq)
  })
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    await here.end()
    for (const end of ends.splice(0)) await end()
  })

  /** 0 also while the queue is not there. */
  async function consumersOf(queue: string): Promise<number> {
    const channel = await here.channel()
    channel.on('error', () => {})
    try {
      return (await channel.checkQueue(queue)).consumerCount
    } catch {
      return 0
    }
  }

  it('a queue that another program has made is refused with its name, the argument and what to do', async () => {
    const channel = await here.channel()
    const queue = here.names.level('queue', 'q')
    await channel.assertQueue(queue, { durable: true })
    const driver = await here.driver()
    const declared = driver.broker.declare({ name: 'q' })
    await expect(declared).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' })
    await expect(declared).rejects.toThrow(queue)
    await expect(declared).rejects.toThrow(/another x-[a-z-]+: it has none/)
    await expect(declared).rejects.toThrow('another prefix')
  })

  it('processes with different maxCrashes share a queue', async () => {
    await (await here.driver()).broker.declare({ name: 'q' })
    await (await here.driver({ maxCrashes: 7 })).broker.declare({ name: 'q' })
  })

  it('a queue that was deleted is declared again by who publishes, and no job is lost', async () => {
    const driver = await here.driver()
    await driver.broker.publish({ envelopes: [envelope()] })
    const channel = await here.channel()
    await channel.deleteQueue(here.names.level('queue', 'q'))
    const job = envelope()
    await driver.broker.publish({ envelopes: [job] })
    const delivery = await (await here.hand(driver)).next()
    expect(delivery.envelope.id).toBe(job.id)
    await delivery.ack()
  })

  it('who consumes from a deleted queue declares it again, and goes on', { timeout: 30_000 }, async () => {
    const driver = await here.driver()
    const hand = await here.hand(driver)
    await driver.broker.publish({ envelopes: [envelope()] })
    await (await hand.next()).ack()
    const channel = await here.channel()
    const name = here.names.level('queue', 'q')
    await channel.deleteQueue(name)
    // Who declares it while it is still being deleted makes RabbitMQ 3.10 hang, and a second driver does not know of that.
    await expect.poll(() => consumersOf(name), { timeout: 15_000, interval: 200 }).toBe(1)
    const job = envelope()
    const other = await here.driver()
    await other.broker.publish({ envelopes: [job] })
    const delivery = await hand.next()
    expect(delivery.envelope.id).toBe(job.id)
    await delivery.ack()
  })

  it('what is due for a deleted queue ends in the unrouted, and holds up nobody', { timeout: 30_000 }, async () => {
    const driver = await here.driver()
    await driver.broker.publish({
      envelopes: [
        envelope({ queue: 'gone', notBefore: Date.now() + 1500 }),
        envelope({ notBefore: Date.now() + 1500 }),
      ],
    })
    const channel = await here.channel()
    await channel.deleteQueue(here.names.level('queue', 'gone'))
    const hand = await here.hand(driver)
    const delivery = await hand.next()
    expect(Date.now()).toBeGreaterThanOrEqual(delivery.envelope.notBefore!)
    await delivery.ack()
    const count = async () => (await channel.checkQueue(here.names.unrouted)).messageCount
    await expect.poll(count, { timeout: 10_000 }).toBe(1)
  })

  it('names with a common tail do not get each other’s delayed jobs', { timeout: 30_000 }, async () => {
    const driver = await here.driver()
    await driver.broker.declare({ name: 'big.q' })
    await driver.broker.publish({ envelopes: [envelope({ notBefore: Date.now() + 500 })] })
    await (await (await here.hand(driver)).next()).ack()
    expect((await driver.broker.stats({ queue: 'big.q' })).ready).toBe(0)
  })

  it('the place of dead jobs is made again when somebody has deleted it', { timeout: 30_000 }, async () => {
    const driver = await here.driver()
    await driver.broker.publish({ envelopes: [envelope()] })
    const job = await (await here.hand(driver)).next()
    await (await here.channel()).deleteQueue(here.names.dead)
    await job.dead({ reason: 'failed', error: { name: 'Error', message: 'no', at: Date.now() } })
    expect((await driver.deadLetters!.list({ limit: 10 })).jobs).toMatchObject([{ envelope: { id: job.envelope.id } }])
  })

  it('jobs that run when their consumer is ended by the broker are settled, and no job is lost', async () => {
    const driver = await here.driver()
    await driver.broker.publish({ envelopes: [envelope(), envelope()] })
    const hand = await here.hand(driver)
    const [one, two] = [await hand.next(), await hand.next()]
    const lost: string[] = []
    for (const job of [one, two]) job.onLost((why) => lost.push(why))
    await (await here.channel()).deleteQueue(here.names.level('queue', 'q'))
    const after = envelope()
    await driver.broker.publish({ envelopes: [after] })
    expect((await hand.next()).envelope.id).toBe(after.id)
    await one.ack()
    await two.retry({ delay: 0, error: { name: 'Error', message: 'no', at: Date.now() } })
    expect(await hand.next()).toMatchObject({ envelope: { id: two.envelope.id }, attempt: 2 })
    expect(lost).toEqual([])
  })

  it('headers that would not fit a frame are refused before they cost the connection, and errors make room', async () => {
    const driver = await here.driver({ frameMax: 8192 })
    const big = (length: number) => envelope({ headers: { big: 'ä'.repeat(length) } })
    expect(await codeOf(() => driver.broker.publish({ envelopes: [big(3000)] }))).toBe('ERR_PAYLOAD_TOO_LARGE')
    const fits = big(900)
    await driver.broker.publish({ envelopes: [fits] })
    const hand = await here.hand(driver)
    const error = { name: 'Error', message: 'ö'.repeat(4000), stack: 'ü'.repeat(4000), at: Date.now() }
    for (let n = 1; n <= 6; n++) {
      const job = await hand.next()
      expect([job.envelope.id, job.attempt]).toEqual([fits.id, n])
      // A second goes through the delays, where the broker adds to the headers.
      if (n < 6) await job.retry({ delay: n === 3 ? 900 : 0, error })
      else await job.dead({ reason: 'failed', error })
    }
    const { jobs } = await driver.deadLetters!.list({ limit: 10 })
    expect(jobs).toMatchObject([{ envelope: fits, attempt: 6 }])
    expect(await codeOf(() => driver.events!.publish({ events: [eventOf({ big: 'ä'.repeat(3000) })] }))).toBe(
      'ERR_PAYLOAD_TOO_LARGE',
    )
  })

  it(
    'a user who may configure nothing can work where all is declared, and hears what else he lacks',
    { timeout: 90_000 },
    async ({ skip }) => {
      const { ctl, settings } = rabbitmq
      skip(!ctl, 'nobody makes users for us here (no rabbitmqctl)')
      const user = `millrace-queues-${process.pid}`
      await ctl!('add_user', user, 'secret')
      ends.push(() => ctl!('delete_user', user))
      const operator = await here.driver()
      await operator.broker.declare({ name: 'q' })
      const ours = `^${here.place.broker.prefix}[.].*$`
      const allow = (write: string) => ctl!('set_permissions', '-p', settings.vhost, user, '^$', write, ours)
      // All is declared, so nobody needs to configure anything any more.
      await allow(`${ours}|^amq[.]default$`)
      const theirs = await here.driver({ username: user, password: 'secret' })
      await theirs.broker.publish({ envelopes: [envelope()] })
      const hand = await here.hand(theirs)
      await (await hand.next()).ack()
      expect(await codeOf(() => theirs.broker.declare({ name: 'other' }))).toBe('ERR_CONFIGURATION')
      await allow(ours)
      const late = await here.driver({ username: user, password: 'secret', publishTimeout: 5_000 })
      const refused = await late.broker.publish({ envelopes: [envelope()] }).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'ERR_CONFIGURATION' })
      expect(String(refused)).toMatch(/amq\.default/)
    },
  )

  it('a payload beyond what the broker takes is refused, and nothing else is', async () => {
    const driver = await here.driver()
    const large = envelope({ body: JSON.stringify('x'.repeat(17 * 2 ** 20)) })
    expect(await codeOf(() => driver.broker.publish({ envelopes: [large] }))).toBe('ERR_PAYLOAD_TOO_LARGE')
    const headers = envelope({ headers: { big: 'x'.repeat(200_000) } })
    expect(await codeOf(() => driver.broker.publish({ envelopes: [headers] }))).toBe('ERR_PAYLOAD_TOO_LARGE')
    await driver.broker.publish({ envelopes: [envelope()] })
  })
})
