// P21: each tick once. Most cases move a ticker's clock by hand: what is due does not depend on when somebody looks.
import type { ClientCore } from '../../client/types.js'
import type { Client } from '../../connect.js'
import { tickId } from '../../core/schedule.js'
import { schedule } from '../../schedules/define.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { remembering } from './needs.js'
import { assert, codeOf, envelope, recordOf, SILENT, until } from './stage.js'
import { other, z } from './tasks.js'
import { MINUTE, START, idsOf, openProcess } from './ticking.js'

const nothing = () => {}
const after = (minutes: number) => START + minutes * MINUTE

const ids = (name: string, ...minutes: readonly number[]) => minutes.map((n) => tickId(name, after(n)))

/** Waits until the handler of a schedule has run so often; answers the ids in order. */
async function ran(client: ClientCore, task: string, times: number): Promise<string[]> {
  const done = async () => (await client.jobs.list({ task, states: ['completed'], limit: 1000 })).jobs
  await until(async () => (await done()).length >= times, `${times} ticks`, 30_000)
  return (await done()).map(({ id }) => id).sort()
}

const secondOf = (id: string) => Date.parse(id.slice(id.lastIndexOf('/') + 1)) / 1000

function assertEachOnce(all: readonly string[]): void {
  assert.equal(new Set(all).size, all.length)
  const seconds = all.map(secondOf)
  assert.deepEqual(
    seconds,
    seconds.map((_, i) => seconds[0]! + i),
  )
}

const needsUnique: ConformanceCase['needs'] = (traits) => (traits.unique ? undefined : 'keeps no unique keys')
const needsDelay: ConformanceCase['needs'] = (traits) => (traits.delay ? undefined : 'has no delays')

export const scheduleCases = remembering([
  {
    promise: 'P21',
    level: 'driver',
    name: 'jobs that come with an entry come to be exactly if the entry is written',
    async run(stage) {
      const { state, ...driver } = await stage.driver()
      const [kept, refused, unkept] = [envelope(), envelope(), envelope()]
      const version = await state.set({ key: 'k', value: '1', expect: 'absent', publish: [kept] })
      assert.ok(version !== undefined)
      assert.equal((await recordOf({ ...driver, state }, kept.id)).state, 'ready')
      for (const expect of ['absent', version + 1] as const)
        assert.equal(await state.set({ key: 'k', value: '2', expect, publish: [refused] }), undefined)
      // An id of another task's job refuses all of it.
      const stranger = envelope({ id: kept.id, name: 'stranger' })
      assert.equal(
        await codeOf(() => state.set({ key: 'k', value: '2', expect: version, publish: [unkept, stranger] })),
        'ERR_JOB_CONFLICT',
      )
      assert.deepEqual(await state.get({ key: 'k' }), { key: 'k', value: '1', version })
      assert.deepEqual(await driver.jobs.get({ ids: [refused.id, unkept.id] }), [])
    },
  },
  {
    promise: 'P21',
    level: 'driver',
    name: 'of many that race for an entry one gets it, and only its jobs are there',
    async run(stage) {
      const drivers = [await stage.driver(), await stage.driver(), await stage.driver()]
      let expect: number | 'absent' = 'absent'
      for (let round = 0; round < 10; round++) {
        const before = await drivers[0]!.jobs.count({})
        const jobs = Array.from({ length: 12 }, () => envelope())
        const versions: readonly (number | undefined)[] = await Promise.all(
          jobs.map((job, i) => drivers[i % 3]!.state.set({ key: 'k', value: job.id, expect, publish: [job] })),
        )
        const winner = jobs[versions.findIndex((version) => version !== undefined)]!
        assert.equal(versions.filter((version) => version !== undefined).length, 1)
        assert.equal(await drivers[0]!.jobs.count({}), before + 1)
        const entry = await drivers[1]!.state.get({ key: 'k' })
        assert.equal(entry?.value, winner.id)
        expect = entry!.version
      }
    },
  },
  {
    promise: 'P21',
    level: 'driver',
    name: 'an entry is written also when its jobs stand already, and a waiting worker hears of new ones',
    needs: needsUnique,
    async run(stage) {
      const driver = await stage.driver()
      const hand = await stage.hand(driver)
      const first = envelope({ unique: { key: 'one', until: 'finished' } })
      await driver.state.set({ key: 'k', value: '1', publish: [first] })
      assert.equal((await hand.next()).envelope.id, first.id)
      const held = envelope({ unique: { key: 'one', until: 'finished' } })
      assert.ok((await driver.state.set({ key: 'k', value: '2', publish: [first, held] })) !== undefined)
      assert.deepEqual(await idsOf(driver), [first.id])
      assert.equal((await driver.state.get({ key: 'k' }))?.value, '2')
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'the first tick comes after the declaration, and none twice, whoever makes them at the same time',
    async run(stage) {
      const handlers = [schedule('s', { every: '1m', missed: 'all' }, other)]
      const processes = [
        await openProcess(stage, handlers),
        await openProcess(stage, handlers),
        await openProcess(stage, handlers),
      ]
      await Promise.all(processes.map((one) => one.declare(after(0))))
      assert.deepEqual(await processes[0]!.step(after(0) + 1), { schedules: 1, due: after(1) })
      assert.deepEqual(await idsOf(processes[0]!.driver), [])
      for (let minute = 1; minute <= 8; minute++) await Promise.all(processes.map((one) => one.step(after(minute))))
      assert.deepEqual(await idsOf(processes[0]!.driver), ids('s', 1, 2, 3, 4, 5, 6, 7, 8))
      // One that slept, and woke with what it knew.
      await processes[1]!.step(after(4))
      assert.equal((await idsOf(processes[0]!.driver)).length, 8)
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'one that slept between reading and writing makes nothing of what it read: not what was made, nor what was paused',
    async run(stage) {
      const handlers = [schedule('s', { every: '1m' }, other)]
      const [client, awake] = [stage.client(), await openProcess(stage, handlers)]
      const { driver } = awake
      let meanwhile = async () => {
        await awake.step(after(1))
        // Its job has come and gone, so that no id stands in the way any more.
        await driver.jobs.move({ ids: ids('s', 1), to: 'cancelled', limit: 1 })
        await driver.jobs.move({ ids: ids('s', 1), to: 'deleted', limit: 1 })
      }
      const sleepy = await openProcess(stage, handlers, () => meanwhile())
      await awake.declare(after(0))
      await sleepy.step(after(1))
      assert.deepEqual(await idsOf(driver), [])
      meanwhile = () => client.schedules.pause('s')
      await sleepy.step(after(2))
      assert.deepEqual(await idsOf(driver), [])
      assert.equal((await client.schedules.list())[0]?.paused, true)
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'missed ticks: once makes the last, all makes every one, skip none that is late',
    async run(stage) {
      const rule = (missed: 'once' | 'all' | 'skip') => ({ every: '1m', missed }) as const
      const { driver, declare, step } = await openProcess(stage, [
        schedule('all', rule('all'), other),
        schedule('once', rule('once'), other),
        schedule('skip', rule('skip'), other),
        schedule('skip-slow', { every: '4m', missed: 'skip' }, other),
      ])
      await declare(after(0))
      const lastSlow = Math.floor(after(250) / (4 * MINUTE)) * 4 * MINUTE
      const now = Math.max(after(250), lastSlow + MINUTE) + 30_000
      let due: number | undefined = 0
      for (let steps = 0; due !== undefined && due <= now; steps++) {
        assert.ok(steps < 5, 'a batch that leaves some over goes on at once')
        due = (await step(now)).due
      }
      const last = Math.floor(now / MINUTE) * MINUTE
      const made = await idsOf(driver)
      const of = (name: string) => made.filter((id) => id.startsWith(`schedule/${name}/`))
      const every = Array.from({ length: (last - after(0)) / MINUTE }, (_, i) => tickId('all', after(i + 1)))
      assert.deepEqual(of('all'), every)
      assert.deepEqual(of('once'), [tickId('once', last)])
      assert.deepEqual(of('skip'), [tickId('skip', last)])
      assert.deepEqual(of('skip-slow'), [])
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: "overlap 'skip': no job for a tick while that of an earlier one has not finished",
    needs: needsUnique,
    async run(stage) {
      const { driver, declare, step } = await openProcess(stage, [
        schedule('s', { every: '1m', overlap: 'skip' }, other),
        schedule('free', { every: '1m' }, other),
      ])
      await declare(after(0))
      for (const minute of [1, 2]) await step(after(minute))
      const of = async () => (await idsOf(driver)).filter((id) => id.startsWith('schedule/s/'))
      assert.deepEqual(await of(), ids('s', 1))
      const hand = await stage.hand(driver)
      await until(() => hand.deliveries.length === 3, 'every delivery')
      for (const delivery of hand.deliveries) await delivery.ack()
      hand.consumer.setPrefetch(0)
      for (const minute of [3, 4]) await step(after(minute))
      assert.deepEqual(await of(), ids('s', 1, 3))
      assert.equal((await idsOf(driver)).filter((id) => id.startsWith('schedule/free/')).length, 4)
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'a schedule from code that no live worker declares makes no ticks, and makes up for them when it is declared again',
    async run(stage) {
      const handlers = [schedule('s', { every: '1m' }, other)]
      const [first, bystander] = [await openProcess(stage, handlers), await openProcess(stage)]
      const hand = await stage.hand(first.driver, { prefetch: 0 })
      await hand.beat({ schedules: ['s'] })
      await first.declare(after(0), hand.worker)
      await bystander.step(after(1))
      assert.deepEqual(await idsOf(first.driver), ids('s', 1))
      await hand.leave()
      await bystander.step(after(2))
      await bystander.step(after(7))
      assert.deepEqual(await idsOf(first.driver), ids('s', 1))
      const again = await stage.hand(first.driver, { prefetch: 0 })
      await again.beat({ schedules: ['s'] })
      await first.declare(after(7) + 1, again.worker)
      await bystander.step(after(7) + 2)
      assert.deepEqual(await idsOf(first.driver), ids('s', 1, 7))
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'jobs carry their tick, the input as it was declared, and a delay by chance',
    needs: needsDelay,
    async run(stage) {
      const { driver, declare, step } = await openProcess(stage, [
        schedule('fixed', { every: '1m' }, z, { n: 7 }),
        schedule('own', { cron: '* * * * *', timezone: 'Asia/Kolkata' }, nothing),
        schedule('late', { every: '1m', jitter: '10s' }, other),
      ])
      await declare(after(0))
      for (const minute of [1, 2]) await step(after(minute))
      const fixed = await recordOf(driver, tickId('fixed', after(2)))
      assert.deepEqual([fixed.envelope.name, fixed.envelope.body], ['numbers', '{"n":7}'])
      const own = await recordOf(driver, tickId('own', after(2)))
      assert.deepEqual([own.envelope.name, own.envelope.queue], ['schedule:own', 'schedule:own'])
      assert.deepEqual(JSON.parse(own.envelope.body), {
        time: new Date(after(2)).toISOString(),
        local: new Date(after(2) + 5.5 * 60 * MINUTE).toISOString().slice(0, 19),
        previous: new Date(after(1)).toISOString(),
      })
      const late = await recordOf(driver, tickId('late', after(2)))
      assert.equal(late.dueAt, after(2) + 5_000)
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'a tick that was made for another task is not made again, and the next one is',
    async run(stage) {
      const handlers = [schedule('s', { every: '1m', missed: 'all' }, other)]
      const { driver, declare, step } = await openProcess(stage, handlers)
      await driver.broker.publish({ envelopes: [envelope({ id: ids('s', 2)[0]!, name: 'stranger' })] })
      await declare(after(0))
      for (let n = 0; n < 3; n++) await step(after(3))
      assert.deepEqual(await idsOf(driver), ids('s', 1, 2, 3))
      assert.equal((await recordOf(driver, ids('s', 2)[0]!)).envelope.name, 'stranger')
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'two workers: each second one tick, run once, and the ticks go on when one of them has stopped',
    async run(stage) {
      const seen: string[] = []
      const worker = async (client: Client<any>) =>
        client.work({
          handlers: [
            schedule('s', { cron: '* * * * * *', missed: 'all' }, (tick, ctx) => {
              assert.equal(ctx.job.id, tickId('s', tick.time.getTime()))
              seen.push(ctx.job.id)
            }),
          ],
        })
      const [client, second] = [stage.client(), stage.client()]
      const workers = [await worker(client), await worker(second)]
      await ran(second, 'schedule:s', 3)
      await workers[0]!.stop({ grace: 0 })
      const all = await ran(second, 'schedule:s', 6)
      assertEachOnce(all)
      await workers[1]!.stop()
      assertEachOnce([...seen].sort())
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'after an outage the ticks go on by themselves, and those of the outage are made up for',
    needs: (_traits, place) => (place.outage ? undefined : 'cannot be away: it lives in this process'),
    async run(stage) {
      const warned: string[] = []
      const warn = (_fields: object | string, message = '') => void warned.push(message)
      const client = stage.client({ publishTimeout: 200, log: { ...SILENT, warn } })
      await client.work({ handlers: [schedule('s', { every: '1s', missed: 'all' }, nothing)] })
      await ran(client, 'schedule:s', 1)
      const outage = await stage.place.outage!()
      await until(() => warned.includes('Schedules wait for the store.'), 'the scheduler to see the outage')
      await outage.end()
      assertEachOnce(await ran(client, 'schedule:s', 5))
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'the lease of a scheduler that is gone without a word is taken over',
    async run(stage) {
      const driver = await stage.driver()
      await driver.state.set({ key: 'scheduler', value: 'a ghost', ttl: 24 * 3_600_000 })
      const client = stage.client()
      await client.schedules.create('s', { every: '1s', missed: 'all' }, other)
      await client.work({ handlers: [handle(other, nothing)] })
      assertEachOnce(await ran(client, 'nothing', 3))
      assert.notEqual((await driver.state.get({ key: 'scheduler' }))?.value, 'a ghost')
    },
  },
])
