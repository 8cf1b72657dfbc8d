// Programs that know nothing of Millrace put jobs into our queues, and take some from them; and what is no job is kept aside.
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { envelope } from '../../src/testing/conformance/stage.js'
import { fixed } from '../../src/core/retry.js'
import { unchecked } from '../../src/core/schema.js'
import { defineTask } from '../../src/core/task.js'
import { connect } from '../../src/connect.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { handle } from '../../src/worker/define.js'
import { useFolder } from '../support/folder.js'
import { site, type Site } from '../support/rabbitmq-hands.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const folder = useFolder()

await describeRabbitmq('foreign neighbours', (on) => {
  let here: Site
  beforeEach(async () => {
    here = await site(on)
  })
  afterEach(() => here.end())

  it('a message with a type and a JSON body is a job', async () => {
    const driver = await here.driver()
    await driver.broker.declare({ name: 'q' })
    const channel = await here.channel()
    channel.sendToQueue(here.names.level('queue', 'q'), Buffer.from('{"to":"Ada"}'), {
      type: 'mail.send',
      headers: { tenant: 'a', tries: 3, 'x-death': [] },
    })
    await channel.waitForConfirms()
    const hand = await here.hand(driver)
    const delivery = await hand.next()
    expect(delivery.envelope).toMatchObject({
      queue: 'q',
      name: 'mail.send',
      body: '{"to":"Ada"}',
      headers: { tenant: 'a', tries: '3' },
      priority: 4,
    })
    expect(delivery.envelope.id).toMatch(/^[0-9a-f-]{36}$/)
    expect(Math.abs(delivery.envelope.enqueuedAt - Date.now())).toBeLessThan(30_000)
    expect([delivery.run, delivery.attempt, delivery.suspect]).toEqual([1, 1, false])
    await delivery.retry({ delay: 0, error: { name: 'Error', message: 'once more', at: 0 } })
    const again = await hand.next()
    expect([again.run, again.attempt, again.envelope.id]).toEqual([2, 2, delivery.envelope.id])
    await again.ack()
  })

  it('a plain consumer takes our job, and nothing in it needs Millrace to be read', async () => {
    const driver = await here.driver()
    const job = envelope({ name: 'mail.send', body: '{"to":"Ada"}', headers: { tenant: 'a' } })
    await driver.broker.publish({ envelopes: [job] })
    const channel = await here.channel()
    const message = await vi.waitUntil(() => channel.get(here.names.level('queue', 'q')), { timeout: 10_000 })
    const { properties } = message
    expect(JSON.parse(message.content.toString())).toEqual({ to: 'Ada' })
    expect(properties).toMatchObject({
      messageId: job.id,
      type: 'mail.send',
      contentType: 'application/json',
      deliveryMode: 2,
      timestamp: Math.floor(job.enqueuedAt / 1000),
    })
    // The id tells the millisecond, unless the next one had begun when the job was made.
    const { 'x-delivery-count': _, 'millrace-enqueued-at': at = job.enqueuedAt, ...headers } = properties.headers ?? {}
    expect(at).toBe(job.enqueuedAt)
    expect(headers).toEqual({ tenant: 'a', 'millrace-keep': '60000,60000' })
    channel.ack(message)
  })

  it('what is no job is kept aside with the reason, once, and the next job is handed over', async () => {
    const driver = await here.driver()
    await driver.broker.declare({ name: 'q' })
    const channel = await here.channel()
    const queue = here.names.level('queue', 'q')
    channel.sendToQueue(queue, Buffer.from('{}'), {})
    channel.sendToQueue(queue, Buffer.from([0xff, 0xfe, 0x00]), { type: 'task' })
    channel.sendToQueue(queue, Buffer.from('x'), { type: 'task', contentEncoding: 'gzip' })
    channel.sendToQueue(queue, Buffer.from('{}'), { type: 'task', headers: { 'millrace-version': 2 } })
    channel.sendToQueue(queue, Buffer.from('{"good":1}'), { type: 'task' })
    await channel.waitForConfirms()
    const hand = await here.hand(driver)
    const delivery = await hand.next()
    expect(delivery.envelope.body).toBe('{"good":1}')
    await delivery.ack()
    const count = async () => (await channel.checkQueue(here.names.aside)).messageCount
    await expect.poll(count, { timeout: 10_000 }).toBe(4)
    expect(hand.deliveries.length).toBe(1)
    expect((await driver.broker.stats({ queue: 'q' })).ready).toBe(0)
    const aside = await here.peek(here.names.aside)
    expect(aside.map(({ headers }) => headers['millrace-aside-why'])).toEqual([
      expect.stringMatching(/no `type`/),
      expect.stringMatching(/no UTF-8/),
      expect.stringMatching(/gzip/),
      expect.stringMatching(/version 2/),
    ])
  })

  it('with a store their messages are worked too, with history and retries, each once by its id', async () => {
    const store = sqlite({ file: join(folder(), 'jobs.db') })
    const client = await connect({ broker: rabbitmq(here.place.broker), store })
    const mail = defineTask('mail.send', {
      queue: 'q',
      input: unchecked<{ to: string }>(),
      retry: { backoff: fixed(0) },
    })
    const attempts: string[] = []
    await client.work({
      handlers: [
        handle(mail, ({ to }, { job, log }) => {
          attempts.push(`${to} ${job.attempt}`)
          log.info(`to ${to}`)
          if (to === 'Bob' && job.attempt === 1) throw new Error('once more')
        }),
      ],
    })
    const channel = await here.channel()
    const queue = here.names.level('queue', 'q')
    const headers = { tenant: 'a' }
    channel.sendToQueue(queue, Buffer.from('{"to":"Ada"}'), { type: 'mail.send', headers }) // without an id
    for (let i = 0; i < 2; i++)
      channel.sendToQueue(queue, Buffer.from('{"to":"Bob"}'), { type: 'mail.send', messageId: 'bob-1', headers })
    await channel.waitForConfirms()
    const completed = () => client.jobs.list({ task: mail.name, states: ['completed'] }).then(({ jobs }) => jobs.length)
    await expect.poll(completed, { timeout: 15_000 }).toBe(2)
    expect(attempts.toSorted()).toEqual(['Ada 1', 'Bob 1', 'Bob 2'])
    const { jobs } = await client.jobs.list({ task: mail.name })
    const of = (to: string) => jobs.find(({ input }) => (input as { to: string }).to === to)!
    expect(of('Bob')).toMatchObject({ id: 'bob-1', queue: 'q', attempt: 2, headers: { tenant: 'a' } })
    expect(of('Ada')).toMatchObject({ queue: 'q', attempt: 1, headers: { tenant: 'a' } })
    expect(of('Ada').id).toMatch(/^[0-9a-f-]{36}$/)
    const count = async () => (await channel.checkQueue(queue)).messageCount
    await expect.poll(count, { timeout: 10_000 }).toBe(0)
    await client.close()
  })
})
