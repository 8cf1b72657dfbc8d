// P20: events reach every subscription, each on its own.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { defineEvent, type Message } from '../../core/event.js'
import { newId } from '../../core/id.js'
import { match } from '../../core/pattern.js'
import { fixed } from '../../core/retry.js'
import type { StatefulDriver } from '../../driver/driver.js'
import type { EventEnvelope } from '../../driver/events.js'
import { on, route } from '../../events/define.js'
import { handle } from '../../worker/define.js'
import { remembering } from './needs.js'
import { assert, codeOf, deferred, envelope as job, until, type Stage } from './stage.js'
import { withNumber, z } from './tasks.js'

const paid = defineEvent('order.paid', { payload: withNumber as StandardSchemaV1<{ n: number }> })
const shipped = defineEvent('order.item.shipped')
const closed = defineEvent('shop.closed')

/** An event with what a case cares about. */
function event(name: string, o: Partial<EventEnvelope> = {}): EventEnvelope {
  const id = o.id ?? newId()
  const body = JSON.stringify({ specversion: '1.0', id, source: 'case', type: name, time: new Date(0).toISOString() })
  const keep = { completed: 60_000, dead: 60_000, log: 60_000 }
  return { id, name, body, headers: {}, publishedAt: Date.now(), keep, ...o }
}

const subscribe = (driver: StatefulDriver<any>, name: string, ...patterns: string[]) =>
  driver.events.declare({ name, queue: `on:${name}`, patterns })

/** Ids of the jobs that wait in the subscription's queue, oldest first. */
async function copiesOf(driver: StatefulDriver<any>, name: string): Promise<readonly string[]> {
  const { jobs } = await driver.jobs.list({ name: `on:${name}`, limit: 100 })
  return jobs.map(({ envelope }) => envelope.id).reverse()
}

export const fanOutCases = remembering([
  {
    promise: 'P20',
    level: 'driver',
    name: 'an event is copied once to every subscription with a pattern that fits, and to no other',
    async run(stage) {
      const driver = await stage.driver()
      await subscribe(driver, 'exact', 'order.paid')
      await subscribe(driver, 'twice', 'order.*', 'order.paid')
      await subscribe(driver, 'all', '#')
      await subscribe(driver, 'other', 'order', 'order.*.paid', 'shop.#')
      const one = event('order.paid', { headers: { color: 'red' } })
      assert.deepEqual(await driver.events.publish({ events: [one] }), [{ id: one.id, duplicate: false }])
      assert.deepEqual(await copiesOf(driver, 'exact'), [`${one.id}/exact`])
      assert.deepEqual(await copiesOf(driver, 'twice'), [`${one.id}/twice`])
      assert.deepEqual(await copiesOf(driver, 'all'), [`${one.id}/all`])
      assert.deepEqual(await copiesOf(driver, 'other'), [])
      const hand = await stage.hand(driver, { queue: 'on:exact' })
      const { envelope } = await hand.next()
      assert.equal(envelope.name, 'on:exact')
      assert.equal(envelope.body, one.body)
      assert.deepEqual(envelope.headers, { color: 'red' })
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'the same id again is the same event: nobody gets it twice, also from two processes at once',
    async run(stage) {
      const [first, second] = [await stage.driver(), await stage.driver()]
      await subscribe(first, 'all', '#')
      const one = event('order.paid')
      const receipts = await Promise.all([
        first.events.publish({ events: [one, one] }),
        second.events.publish({ events: [one] }),
      ])
      assert.deepEqual(receipts.flat().filter(({ duplicate }) => !duplicate).length, 1)
      assert.deepEqual(await copiesOf(second, 'all'), [`${one.id}/all`])
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'an id of another event, or one whose copy has the id of some job, is an error, and nothing of it is kept',
    async run(stage) {
      const driver = await stage.driver()
      await subscribe(driver, 'first', '#')
      await subscribe(driver, 'second', '#')
      await driver.events.publish({ events: [event('order.paid', { id: 'a' })] })
      const publish = (one: EventEnvelope) => codeOf(() => driver.events.publish({ events: [one] }))
      assert.equal(await publish(event('order.refunded', { id: 'a' })), 'ERR_JOB_CONFLICT')
      await driver.broker.publish({ envelopes: [job({ id: 'b/second', name: 'mail' })] })
      assert.equal(await publish(event('order.paid', { id: 'b' })), 'ERR_JOB_CONFLICT')
      assert.deepEqual(await copiesOf(driver, 'first'), ['a/first'])
      assert.deepEqual(
        (await driver.eventLog.list({ limit: 10 })).map(({ id, name }) => [id, name]),
        [['a', 'order.paid']],
      )
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'a subscription sees events from its first declaration on, and no subscriber is no error',
    async run(stage) {
      const driver = await stage.driver()
      const [before, after] = [event('order.paid'), event('order.paid')]
      assert.equal((await driver.events.publish({ events: [before] }))[0]!.duplicate, false)
      await subscribe(driver, 'late', 'order.#')
      await driver.events.publish({ events: [after] })
      assert.deepEqual(await copiesOf(driver, 'late'), [`${after.id}/late`])
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'the newest declaration of a subscription holds; removed, it gets no copies, and what waits stays',
    async run(stage) {
      const [driver, other] = [await stage.driver(), await stage.driver()]
      await subscribe(driver, 's', 'order.#')
      await driver.events.publish({ events: [event('order.paid', { id: 'a' }), event('shop.closed', { id: 'b' })] })
      await other.events.declare({ name: 's', queue: 'elsewhere', patterns: ['shop.#'] })
      await driver.events.publish({ events: [event('order.paid', { id: 'c' }), event('shop.closed', { id: 'd' })] })
      const { jobs } = await driver.jobs.list({ name: 'on:s', limit: 10 })
      assert.deepEqual(
        jobs.map(({ envelope }) => [envelope.id, envelope.queue]),
        [
          ['d/s', 'elsewhere'],
          ['a/s', 'on:s'],
        ],
      )
      const [declared] = await driver.events.subscriptions()
      assert.deepEqual([declared?.name, declared?.queue, declared?.patterns], ['s', 'elsewhere', ['shop.#']])
      assert.equal(await other.events.remove({ name: 's' }), true)
      assert.equal(await driver.events.remove({ name: 's' }), false)
      await driver.events.publish({ events: [event('shop.closed')] })
      assert.equal((await driver.jobs.list({ name: 'on:s', limit: 10 })).jobs.length, 2)
      assert.ok((await driver.broker.list()).includes('on:s'))
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'the log keeps events in order until their time is over, whether anybody subscribes or not',
    async run(stage) {
      const driver = await stage.driver()
      assert.equal(await driver.eventLog.end(), 0)
      const short = { completed: 0, dead: 0, log: 0 }
      await driver.events.publish({ events: [event('a.b', { id: '1' }), event('a.c', { id: '2', keep: short })] })
      await driver.events.publish({ events: [event('b', { id: '3' })] })
      const all = await driver.eventLog.list({ limit: 10 })
      assert.deepEqual(
        all.map(({ id }) => id),
        ['1', '2', '3'],
      )
      assert.equal(await driver.eventLog.end(), all.at(-1)!.n)
      const behind = await driver.eventLog.list({ pattern: 'a.*', after: all[0]!.n, limit: 10 })
      assert.deepEqual(
        behind.map(({ id }) => id),
        ['2'],
      )
      assert.deepEqual(await driver.eventLog.list({ since: Date.now() + 60_000, limit: 10 }), [])
      assert.equal((await driver.eventLog.list({ before: Date.now() + 60_000, limit: 2 })).length, 2)
      assert.equal(await driver.eventLog.prune({ limit: 10 }), 1)
      assert.equal(await driver.eventLog.prune({ limit: 10 }), 0)
      await driver.events.publish({ events: [event('b', { id: '4' })] })
      const left = await driver.eventLog.list({ limit: 10 })
      assert.deepEqual(
        left.map(({ id }) => id),
        ['1', '3', '4'],
      )
      assert.ok(left[2]!.n > all.at(-1)!.n, 'places are never used again')
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'replay copies once more to the one asked, and not what still waits there',
    async run(stage) {
      const driver = await stage.driver()
      await driver.events.publish({ events: [event('order.paid', { id: 'early' })] })
      await subscribe(driver, 'asked', 'order.#')
      await subscribe(driver, 'other', '#')
      await driver.events.publish({ events: [event('order.paid', { id: 'done' }), event('shop.closed')] })
      const hand = await stage.hand(driver, { queue: 'on:asked' })
      await (await hand.next()).ack()
      hand.consumer.setPrefetch(0)
      await driver.events.publish({ events: [event('order.paid', { id: 'waiting' })] })
      const others = await copiesOf(driver, 'other')
      const replay = { subscription: 'asked', replay: 'r1' }
      const first = await driver.eventLog.replay({ ...replay, limit: 2 })
      assert.equal(first.copied, 2)
      const rest = await driver.eventLog.replay({ ...replay, after: first.next!, limit: 10 })
      assert.deepEqual(rest, { copied: 0 })
      assert.deepEqual(await driver.eventLog.replay({ ...replay, limit: 10 }), { copied: 0 }, 'the same call again')
      assert.deepEqual(
        [...(await copiesOf(driver, 'asked'))].sort(),
        ['done/asked', 'done/asked/r1', 'early/asked/r1', 'waiting/asked'].sort(),
      )
      const second = { subscription: 'asked', replay: 'r2' }
      assert.deepEqual(await driver.eventLog.replay({ ...second, limit: 10 }), { copied: 0 }, 'r1 waits still')
      assert.deepEqual(await copiesOf(driver, 'other'), others)
      assert.equal(
        await codeOf(() => driver.eventLog.replay({ subscription: 'none', replay: 'r', limit: 1 })),
        'ERR_CONFIGURATION',
      )
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'replay ends at the place it was told: what was published meanwhile has its copy, even if that is done by now',
    async run(stage) {
      const driver = await stage.driver()
      await driver.events.publish({ events: [event('order.paid', { id: 'before' })] })
      const upTo = await driver.eventLog.end()
      await subscribe(driver, 'asked', '#')
      await driver.events.publish({ events: [event('order.paid', { id: 'meanwhile' })] })
      const hand = await stage.hand(driver, { queue: 'on:asked' })
      await (await hand.next()).ack()
      const replayed = await driver.eventLog.replay({ subscription: 'asked', replay: 'r', upTo, limit: 10 })
      assert.deepEqual(replayed, { copied: 1 })
      assert.deepEqual([...(await copiesOf(driver, 'asked'))].sort(), ['before/asked/r', 'meanwhile/asked'])
    },
  },
  {
    promise: 'P20',
    level: 'driver',
    name: 'in a transaction of the caller the event and its copies exist exactly when it commits',
    needs: (traits, place) =>
      traits.transactions === 'none' || !place.transaction ? 'joins no transaction' : undefined,
    async run(stage) {
      const driver = await stage.driver()
      await subscribe(driver, 'all', '#')
      const undone = stage.place.transaction!()
      await driver.events.publish({ events: [event('order.paid', { id: 'undone' })], tx: undone.tx })
      await undone.rollback()
      const done = stage.place.transaction!()
      await driver.events.publish({ events: [event('order.paid', { id: 'done' })], tx: done.tx })
      await done.commit()
      assert.deepEqual(await copiesOf(driver, 'all'), ['done/all'])
      assert.deepEqual(
        (await driver.eventLog.list({ limit: 10 })).map(({ id }) => id),
        ['done'],
      )
    },
  },
  {
    promise: 'P20',
    level: 'runtime',
    name: 'five subscribers, one of which always fails: four are done, one is dead after its own retries, and replay reaches it alone',
    async run(stage) {
      const client = stage.client()
      const got: string[] = []
      let mended = false
      const hear = (name: string) => (e: Message<string, any>) => void got.push(`${name} ${e.id} ${e.payload?.n}`)
      const handlers = [
        on(paid, 'one', hear('one')),
        on([paid, closed], 'two', hear('two')),
        on(match('order.#', { paid, shipped, closed }), 'three', hear('three')),
        on('#', 'four', hear('four')),
        on(
          paid,
          'broken',
          (e) => {
            got.push(`broken ${e.id}`)
            if (!mended) throw new Error('always')
          },
          { retry: { maxAttempts: 3, backoff: fixed(0) } },
        ),
      ]
      await client.work({ handlers })
      assert.deepEqual(await client.publish(paid, { n: 7 }, { id: 'e1' }), { id: 'e1', duplicate: false })
      await finished(client, 'e1/broken', 'dead')
      for (const name of ['one', 'two', 'three', 'four']) await finished(client, `e1/${name}`, 'completed')
      assert.deepEqual(
        [...got].sort(),
        ['broken e1', 'broken e1', 'broken e1', 'four e1 7', 'one e1 7', 'three e1 7', 'two e1 7'].sort(),
      )
      assert.equal((await client.jobs.get('e1/broken'))?.errors.at(-1)?.message, 'always')
      got.length = 0
      mended = true
      assert.equal(await client.events.replay('broken', { since: new Date(Date.now() - 60_000) }), 1)
      await until(() => got.length > 0, 'the replay')
      assert.deepEqual(got, ['broken e1'])
      assert.deepEqual(await client.publish(paid, { n: 7 }, { id: 'e1' }), { id: 'e1', duplicate: true })
      await client.publish(closed, undefined, { id: 'e2' })
      await finished(client, 'e2/four', 'completed')
      await finished(client, 'e2/two', 'completed')
      assert.deepEqual([...got].sort(), ['broken e1', 'four e2 undefined', 'two e2 undefined'])
    },
  },
  {
    promise: 'P20',
    level: 'runtime',
    name: 'events published while no worker runs reach a subscription that was declared before',
    async run(stage) {
      const got: string[] = []
      const handlers = [on(paid, 'durable', (e) => void got.push(e.id))]
      const first = stage.client()
      await (await first.work({ handlers })).stop()
      const producer = stage.client()
      await producer.publish(paid, { n: 1 }, { id: 'while-away' })
      assert.deepEqual(got, [])
      await stage.client().work({ handlers })
      await until(() => got.length === 1, 'the event')
      assert.deepEqual(got, ['while-away'])
    },
  },
  {
    promise: 'P20',
    level: 'runtime',
    name: 'a route queues its task once for each event, and the result comes back',
    async run(stage) {
      const client = stage.client()
      const handlers = [
        route(paid, z, (e) => ({ n: e.payload.n + 1 })),
        handle(z, ({ n }, ctx) => {
          assert.equal(ctx.job.headers['millrace-parent'], 'e1/order.paid:numbers')
          return { n: n * 10 }
        }),
      ]
      await client.work({ handlers })
      await client.publish(paid, { n: 1 }, { id: 'e1' })
      await client.publish(paid, { n: 1 }, { id: 'e1' })
      await finished(client, 'e1/task/numbers', 'completed')
      assert.deepEqual(await client.job(z, 'e1/task/numbers').result(), { n: 20 })
      assert.equal((await client.jobs.list({ task: z })).jobs.length, 1)
      const known = (await client.events.list()).find(({ name }) => name === 'order.paid')
      assert.deepEqual(known, { name: 'order.paid', subscriptions: [], tasks: ['numbers'] })
    },
  },
  {
    promise: 'P20',
    level: 'runtime',
    name: 'a payload that does not fit is refused at publish, and a copy that does not fit is dead without a retry',
    async run(stage) {
      const client = stage.client()
      assert.equal(await codeOf(() => client.publish(paid, { n: 'one' } as never)), 'ERR_VALIDATION')
      assert.deepEqual(await client.events.log(), [])
      await client.work({ handlers: [on(paid, 'strict', () => assert.fail('the handler ran'))] })
      const driver = await stage.driver()
      await driver.events.publish({ events: [event('order.paid', { id: 'wrong' })] })
      await finished(client, 'wrong/strict', 'dead')
      assert.equal((await client.jobs.get('wrong/strict'))?.reason, 'invalid-input')
    },
  },
  {
    promise: 'P20',
    level: 'runtime',
    name: 'a subscription pauses alone, and one without code is removed with what waits for it',
    async run(stage) {
      const client = stage.client()
      const got: string[] = []
      const gate = deferred()
      const handlers = [
        on('#', 'open', (e) => {
          got.push(e.id)
          gate.resolve()
        }),
        on('#', 'held', () => assert.fail('it is paused')),
      ]
      await client.subscriptions.pause('held').catch(() => {}) // nobody has declared it yet
      const driver = await stage.driver()
      await subscribe(driver, 'held', '#')
      await client.subscriptions.pause('held')
      const worker = await client.work({ handlers })
      await client.publish(closed, undefined, { id: 'e1' })
      await gate.promise
      assert.deepEqual(got, ['e1'])
      const seen = (await client.subscriptions.list()).map(({ name, paused, declared, ready }) => [
        name,
        paused,
        declared,
        ready,
      ])
      assert.deepEqual(seen, [
        ['held', true, true, 1],
        ['open', false, true, 0],
      ])
      assert.equal(await codeOf(() => client.subscriptions.remove('held')), 'ERR_CONFIGURATION')
      await worker.stop()
      const found = await client.doctor()
      assert.ok(found.some(({ code }) => code === 'subscription-undeclared'))
      assert.equal(await client.subscriptions.remove('held'), 1)
      await subscribe(driver, 'held', '#')
      assert.equal((await client.subscriptions.list())[0]?.paused, false, 'a new one is not paused')
      await client.subscriptions.remove('held')
      assert.deepEqual(
        (await client.subscriptions.list()).map(({ name }) => name),
        ['open'],
      )
      assert.equal(await client.jobs.get('e1/held'), undefined)
    },
  },
])

async function finished(client: ReturnType<Stage['client']>, id: string, state: 'completed' | 'dead'): Promise<void> {
  await until(async () => (await client.jobs.get(id))?.state === state, `${id} to be ${state}`)
}
