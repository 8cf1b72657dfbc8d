// The permissions that docs/drivers/rabbitmq.md asks for are enough for everything, and the doctor tells which of them lacks.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { connect, type Client } from '../../src/connect.js'
import { drain } from '../../src/drain.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { defineEvent, defineTask, handle, NonRetryableError, on } from '../../src/index.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { useFolder } from '../support/folder.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const PAGE = join(import.meta.dirname, '../../docs/drivers/rabbitmq.md')
const resize = defineTask('resize', {
  input: z.object({ width: z.number() }),
  output: z.number(),
  queue: 'pictures',
})
const waiting = defineTask('waiting', { input: z.object({ n: z.number() }), queue: 'waiting' })
const shot = defineEvent('picture.shot', { payload: z.object({ name: z.string() }) })

/** The three patterns of the page: to configure, to write, to read. */
function patternsOfPage(): readonly [string, string, string] {
  const text = readFileSync(PAGE, 'utf8')
  const [, configure, write, read] =
    /^rabbitmqctl set_permissions -p jobs millrace '(\S+)' '(\S+)' '(\S+)'$/m.exec(text) ?? []
  if (configure === undefined || write === undefined || read === undefined) throw new Error('The page has no patterns.')
  return [configure, write, read]
}

await describeRabbitmq('permissions', (rabbit) => {
  const user = `millrace-test-user-${process.pid}`
  const clients: Client[] = []
  const folder = useFolder()
  beforeEach(async () => {
    await rabbit.ctl?.('add_user', user, 'secret')
  }, 30_000)
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close()
    await rabbit.ctl?.('delete_user', user)
  }, 30_000)

  const allow = (...patterns: readonly string[]) =>
    rabbit.ctl!('set_permissions', '-p', rabbit.settings.vhost, user, ...patterns)

  async function restricted(): Promise<Client> {
    const { hosts, vhost } = rabbit.settings
    const broker = rabbitmq({
      hosts: hosts.map(({ host, port }) => `${host}:${port}`),
      username: user,
      password: 'secret',
      vhost,
    })
    const client = await connect(broker, { log: SILENT })
    clients.push(client)
    return client
  }

  const permissionsOf = async (client: Client) =>
    (await client.doctor({ deep: true })).find(({ code }) => code === 'rabbitmq-permissions')!

  it('those of the page are enough: jobs, delays, replies, events, dead letters, doctor, drain', async ({ skip }) => {
    skip(!rabbit.ctl, 'nobody makes users for us here (no rabbitmqctl)')
    await allow(...patternsOfPage())
    const client = await restricted()
    const events: string[] = []
    let failing = true
    await client.work({
      handlers: [
        handle(resize, ({ width }) => {
          if (width < 0 && failing) throw new NonRetryableError('too small')
          return width * 2
        }),
        on(shot, 'album', ({ payload }) => void events.push(payload.name)),
        on(shot, 'index', ({ payload }) => void events.push(payload.name), { queue: 'pictures' }),
      ],
    })
    const job = await client.enqueue(resize, { width: 4 }, { reply: true })
    expect(await job.result({ timeout: '10s' })).toBe(8)
    const late = await client.enqueue(resize, { width: 5 }, { reply: true, delay: '1s', priority: 9 })
    expect(await late.result({ timeout: '15s' })).toBe(10)
    await client.publish(shot, { name: 'cat.jpg' })
    await expect.poll(() => events, { timeout: 10_000 }).toEqual(['cat.jpg', 'cat.jpg'])

    const wrong = await client.enqueue(resize, { width: -1 }, { reply: true })
    await expect(wrong.result({ timeout: '10s' })).rejects.toMatchObject({ code: 'ERR_JOB_FAILED' })
    await expect.poll(async () => (await client.jobs.list({ states: ['dead'] })).jobs.length).toBe(1)
    failing = false
    expect(await client.jobs.retry({ states: ['dead'] })).toBe(1)
    await expect.poll(async () => (await client.jobs.list({ states: ['dead'] })).jobs.length).toBe(0)

    expect(await permissionsOf(client)).toMatchObject({ level: 'ok' })
    const findings = await client.doctor({ deep: true })
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([])
    expect((await client.subscriptions.list()).map(({ name }) => name)).toEqual(['album', 'index'])
    expect((await client.queues.list()).map(({ name }) => name)).toContain('pictures')

    await client.enqueueMany(
      waiting,
      Array.from({ length: 5 }, (_, n) => ({ n })),
    )
    const store = await connect(`sqlite:${join(folder(), 'jobs.db')}`, { log: SILENT })
    clients.push(store)
    expect(await drain({ from: client, to: store, queues: ['waiting'] })).toMatchObject({ moved: 5 })
    expect(await drain({ from: store, to: client, queues: ['waiting'] })).toMatchObject({ moved: 5 })
    expect(await client.queues.purge('waiting')).toBe(5)
    await client.subscriptions.remove('album')
  }, 120_000)

  it('the doctor tells which one lacks, and the command that mends it', async ({ skip }) => {
    skip(!rabbit.ctl, 'nobody makes users for us here (no rabbitmqctl)')
    const [configure, write, read] = patternsOfPage()
    const none = '^$'
    const lacks: readonly [told: RegExp, ...patterns: string[]][] = [
      [/may not configure what begins with millrace\.$/, none, write, read],
      [/may not write what begins with millrace\.$/, configure, '^amq\\.default$', read],
      [/may not publish to the default exchange$/, configure, configure, read],
      [/may not read what begins with millrace\.$/, configure, write, none],
      [/may not configure .*, nor write .*, nor read .*, nor publish to the default exchange$/, none, none, none],
    ]
    for (const [told, ...patterns] of lacks) {
      await allow(...patterns)
      const finding = await permissionsOf(await restricted())
      expect(finding).toMatchObject({ level: 'error', message: expect.stringMatching(told) })
      expect(finding.advice).toContain(`set_permissions -p ${rabbit.settings.vhost} ${user}`)
      expect(finding.advice).toContain(`'${configure}' '${write}' '${read}'`)
    }
  }, 120_000)
})
