// Moving jobs to, within and from RabbitMQ, with and without a store: every job arrives once, whatever kills the run.
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type Client } from '../../src/connect.js'
import { defineEvent } from '../../src/core/event.js'
import { defineTask } from '../../src/core/task.js'
import { delayedAt } from '../../src/client/drain.js'
import { drain, driversOf } from '../../src/drain.js'
import { unchecked } from '../../src/core/schema.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { handle } from '../../src/worker/define.js'
import { useFolder } from '../support/folder.js'
import { startNode } from '../support/process.js'
import { describeRabbitmq } from '../support/rabbitmq.js'
import { clearDelays } from '../support/rabbitmq-places.js'

const mail = defineTask('mail', { queue: 'mail', input: unchecked<number>() })
const report = defineTask('report', { queue: 'reports', input: unchecked<number>() })
const HOUR = 3_600_000

await describeRabbitmq('drain', (on) => {
  const folder = useFolder()
  const opened: Client[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((client) => client.close({ grace: 0 })))
    await clearDelays(on, prefixes.splice(0))
  })

  const file = (name: string) => `sqlite:${join(folder(), name)}`
  const prefixes: string[] = []
  let made = 0
  const amqp = () => {
    const prefix = `drain${process.pid}x${made++}`
    prefixes.push(prefix)
    return `${on.url}?prefix=${prefix}`
  }
  async function open(broker: string, store?: string): Promise<Client> {
    const client: Client =
      store === undefined ? await connect(broker, { log: SILENT }) : await connect({ broker, store }, { log: SILENT })
    opened.push(client)
    return client
  }

  async function listed(client: Client) {
    const { jobs } = await client.jobs.list({ limit: 1000, states: ['ready', 'scheduled'] })
    return jobs
      .map(({ id, queue, state, priority, dueAt }) => ({ id, queue, state, priority, dueAt: dueAt.getTime() }))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  describe('1,000 jobs, of which 100 are delayed and 50 urgent', () => {
    it('go from a file to RabbitMQ, to RabbitMQ with a store, and to a file, though each run is killed', async () => {
      const [old, bare, broker] = [file('old.db'), amqp(), amqp()]
      const [store, last] = [file('store.db'), file('new.db')]
      const source = await open(old)
      const numbers = Array.from({ length: 850 }, (_, n) => n)
      await source.enqueueMany(mail, numbers)
      await source.enqueueMany(report, numbers.slice(0, 100), { delay: '1h' })
      await Promise.all(numbers.slice(0, 50).map((n) => source.enqueue(mail, n, { priority: 9 })))
      const all = await listed(source)
      expect(all).toHaveLength(1000)
      const [middle, pair, end] = [await open(bare), await open(broker, store), await open(last)]
      // As `millrace setup` does: the delay queues are there before jobs come. A pair needs none.
      await (await driversOf(middle, pair))[0].setup()

      for (const [from, to] of [
        [old, bare],
        [bare, `${broker} ${store}`],
        [`${broker} ${store}`, last],
      ] as const) {
        const run = (...stop: string[]) =>
          startNode([join(import.meta.dirname, 'programs/drain.mjs'), from, to, ...stop])
        // What a killed consumer had in hand comes one by one, so once is enough there.
        for (const step of from === bare ? ['published'] : ['published', 'held']) {
          const killed = run(step, '2')
          await killed.line(/stopped/)
          killed.process.kill('SIGKILL')
          await killed.ended
        }
        const whole = run()
        await whole.line(/^moved/)
        expect(await whole.ended).toBe(0)
        if (to === bare) {
          const [driver] = await driversOf(middle, pair)
          // What was published by the killed runs, and not seen to be, may be there twice.
          expect(await delayedAt(driver)).toBeGreaterThanOrEqual(100)
          expect((await middle.queues.stats('mail')).ready).toBeGreaterThanOrEqual(900)
          expect(await listed(source)).toEqual([])
        } else expect(await listed(to === last ? end : pair)).toEqual(all)
      }
      expect(await listed(pair)).toEqual([])
      expect((await middle.queues.stats('mail')).ready).toBe(0)

      // The messages that the pair has left behind are acknowledged unseen.
      const ran: string[] = []
      await pair.work({ handlers: [handle(mail, (_, ctx) => void ran.push(ctx.job.id))] })
      const marker = await pair.enqueue(mail, 0)
      await marker.result()
      expect(ran).toEqual([marker.id])
    }, 240_000)
  })

  it('is refused where both ends are one broker, whatever its URLs look like, and leaves nothing there', async () => {
    const url = amqp()
    const [from, to] = [await open(url), await open(url.replace('127.0.0.1', 'localhost'))]
    await from.enqueueMany(mail, [1, 2, 3])
    await expect(drain({ from, to })).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      message: expect.stringMatching(/same broker/),
    })
    expect((await from.queues.stats('mail')).ready).toBe(3)
    expect((await to.queues.list()).map(({ name }) => name)).toEqual(['mail'])
    const elsewhere = await open(amqp())
    expect(await drain({ from, to: elsewhere })).toMatchObject({ moved: 3 })
  })

  it('of the delayed jobs only those of the queues that were asked for; the others wait on', async () => {
    const [from, to] = [await open(amqp()), await open(file('new.db'))]
    // More than RabbitMQ hands over at once.
    await from.enqueueMany(
      mail,
      Array.from({ length: 1200 }, (_, n) => n),
      { delay: '1h' },
    )
    const [wanted] = await from.enqueueMany(report, [1], { delay: '1h' })
    const soon = await from.enqueue(report, 2, { delay: '1s', reply: true })
    const before = Date.now()
    expect(await drain({ from, to, queues: ['reports'] })).toMatchObject({ moved: 2, refused: 0 })
    const moved = (await to.jobs.get(wanted!.id))!
    expect(moved).toMatchObject({ state: 'scheduled', queue: 'reports', headers: {} })
    expect(moved.dueAt.getTime()).toBeGreaterThan(before + HOUR - 60_000)
    expect((await to.jobs.get(soon.id))!.headers).toEqual({})
    const [driver] = await driversOf(from, to)
    await expect.poll(() => delayedAt(driver), { timeout: 10_000 }).toBe(1200)
  }, 120_000)

  it('a broker whose jobs are in the books of a store is not drained without it', async () => {
    const [broker, store] = [amqp(), file('store.db')]
    const [pair, alone, to] = [await open(broker, store), await open(broker), await open(file('new.db'))]
    const job = await pair.enqueue(mail, 1)
    await expect(drain({ from: alone, to })).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      message: expect.stringContaining('--from-store') as string,
    })
    await pair.work({ handlers: [handle(mail, () => {})] })
    await job.result()
    expect(await listed(to)).toEqual([])
  }, 60_000)

  it('copies of events that wait for their subscribers leave as well', async () => {
    const url = amqp()
    const [setup] = await driversOf(await open(url), await open(file('unused.db')))
    await setup.events!.declare({ name: 'billing', queue: 'shared', patterns: ['order.*'] })
    const from = await open(url)
    await from.publish(defineEvent('order.paid', { payload: unchecked<{ id: number }>() }), { id: 7 })
    const to = await open(file('new.db'))
    expect(await drain({ from, to })).toMatchObject({ moved: 1 })
    expect(await listed(to)).toMatchObject([{ queue: 'shared' }])
  }, 60_000)
})
