// What the doctor finds on a broker: before anything is declared, when all is well, and when something is left over.
import { afterEach, expect, it } from 'vitest'
import { subscriptionTask } from '../../src/core/event.js'
import type { Finding } from '../../src/driver/driver.js'
import { connect } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { guard } from '../../src/driver/guard.js'
import { inspectRabbitmq } from '../../src/drivers/rabbitmq/inspect.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { createLink, type Link } from '../../src/drivers/rabbitmq/link.js'
import { declareBase, declareDelays, declareQueue, namesOf } from '../../src/drivers/rabbitmq/topology.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const links: Link[] = []
afterEach(async () => {
  for (const link of links.splice(0)) await link.close()
})

await describeRabbitmq('what the doctor finds', (rabbit) => {
  const { settings, url } = rabbit
  const linkFor = (purpose: string) => {
    const link = createLink({ purpose, settings, log: () => {} })
    links.push(link)
    return link
  }

  async function look(
    prefix: string,
    queues: readonly string[] = [],
    deep = false,
  ): Promise<Readonly<Record<string, Finding>>> {
    const findings = await inspectRabbitmq({
      publishLink: linkFor('publish'),
      consumeLink: linkFor('consume'),
      settings: { ...settings, prefix },
      names: namesOf(prefix, undefined),
      declared: async () => ({ queues, subscriptions: [] }),
      within: 10_000,
      deep,
      carries: false,
    })
    for (const { level, advice } of findings) expect(level === 'ok').toBe(advice === undefined)
    return Object.fromEntries(findings.map((one) => [one.code, one]))
  }

  it('what the driver itself has declared', { timeout: 90_000 }, async () => {
    const { hosts, username, password, vhost } = settings
    const driver = guard(
      rabbitmq({
        hosts: hosts.map(({ host, port }) => `${host}:${port}`),
        username,
        password,
        vhost,
        prefix: 'doctor-c',
      }),
    )
    try {
      await driver.connect({ migrate: true, publishTimeout: 30_000, log: () => {} })
      await driver.broker.declare({ name: 'mail' })
      for (const queue of ['mail', subscriptionTask('own')])
        await driver.events!.declare({ name: queue === 'mail' ? 'shared' : 'own', queue, patterns: ['a.*'] })
      const found = Object.fromEntries((await driver.inspect!({ deep: true })).map((one) => [one.code, one]))
      expect(found).toMatchObject({
        'rabbitmq-topology': { level: 'ok' },
        'rabbitmq-queues': {
          level: 'ok',
          facts: {
            'doctor-c.queue.mail': '0 waiting, consumers: 0',
            'doctor-c.subscription.shared': '0 waiting, consumers: 0',
          },
        },
      })
    } finally {
      await driver.close()
    }
  })

  it('a broker on which nothing is declared, and looking at it declares nothing', { timeout: 60_000 }, async () => {
    const client = await connect(`${url}?prefix=doctor-looks`, { log: SILENT })
    try {
      expect(await client.queues.list()).toEqual([])
      expect(await client.subscriptions.list()).toEqual([])
      expect((await client.jobs.list({ states: ['dead'] })).jobs).toEqual([])
      expect(await client.doctor()).toContainEqual(
        expect.objectContaining({ message: expect.stringMatching(/Nothing is declared/) }),
      )
      const declared = await rabbit.names()
      const ours = [...(declared?.queues ?? []), ...(declared?.exchanges ?? [])].filter((one) => /looks/.test(one))
      expect(ours).toEqual([])
      await client.enqueue(defineTask('first')) // and then it does
      expect((await client.queues.list()).map(({ name }) => name)).toEqual(['default'])
    } finally {
      await client.close()
    }
  })

  it('a broker on which nothing is declared', async () => {
    const found = await look('doctor-a')
    expect(found['rabbitmq-version']).toMatchObject({ level: 'ok', facts: { frameMax: 131_072 } })
    expect(found['rabbitmq-permissions']).toMatchObject({ level: 'ok' })
    expect(found['rabbitmq-links']).toMatchObject({ level: 'ok', facts: { publish: 'up', consume: 'not in use' } })
    expect(found['rabbitmq-blocked']).toMatchObject({ level: 'ok' })
    expect(found['rabbitmq-topology']).toMatchObject({
      level: 'warning',
      advice: expect.stringMatching(/millrace setup/),
    })
  })

  it(
    'jobs that nobody takes, what is unrouted, what lies aside, and a queue that was deleted',
    { timeout: 90_000 },
    async () => {
      const prefix = 'doctor-b'
      const names = namesOf(prefix, undefined)
      const { connection } = await linkFor('test').open({ within: 10_000 })
      const channel = await connection.createConfirmChannel()
      await declareBase(channel, names)
      await declareQueue(channel, names, { queue: 'mail', suspects: true })
      expect(await look(prefix, ['mail'])).toMatchObject({
        'rabbitmq-topology': { level: 'ok' },
        'rabbitmq-queues': { level: 'ok', facts: { mail: '0 waiting, consumers: 0' } },
        'rabbitmq-unrouted': { level: 'ok' },
        'rabbitmq-aside': { level: 'ok' },
      })

      for (const queue of [names.level('queue', 'mail'), names.unrouted, names.aside])
        channel.sendToQueue(queue, Buffer.from('{}'), { persistent: true })
      await channel.waitForConfirms()
      await channel.deleteQueue(names.suspect('mail'))
      expect(await look(prefix, ['mail'])).toMatchObject({
        // The broker of a pair has no such queue, and from here it cannot be told from one that was deleted.
        'rabbitmq-topology': {
          level: 'warning',
          message: 'There is no doctor-b.suspect.mail',
          advice: expect.stringMatching(/MILLRACE_STORE/),
        },
        'rabbitmq-queues': {
          level: 'warning',
          message: expect.stringMatching(/nobody takes it: mail \(1\)/),
          advice: expect.stringContaining(`list_consumers -p ${settings.vhost}`),
        },
        'rabbitmq-unrouted': { level: 'warning', facts: { messages: 1 } },
        'rabbitmq-aside': { level: 'warning', facts: { messages: 1 } },
      })

      await channel.deleteQueue(names.level('low', 'mail'))
      expect((await look(prefix, ['mail']))['rabbitmq-topology']).toMatchObject({
        level: 'error',
        message: 'Somebody has deleted doctor-b.low.mail, doctor-b.suspect.mail',
      })

      expect((await look(prefix, ['mail'], true))['rabbitmq-delays']).toMatchObject({
        level: 'ok',
        facts: { levels: 0 },
      })
      await declareDelays(channel, names)
      expect((await look(prefix, ['mail'], true))['rabbitmq-delays']).toMatchObject({
        level: 'ok',
        facts: { levels: 28 },
      })
      await channel.deleteQueue(names.delay(3))
      const deep = await look(prefix, ['mail'], true)
      expect(deep['rabbitmq-delays']).toMatchObject({ level: 'error', facts: { levels: 27 } })
      expect(deep['rabbitmq-queues']?.facts).toMatchObject({ 'doctor-b.queue.mail': '1 waiting, consumers: 0' })
    },
  )
})
