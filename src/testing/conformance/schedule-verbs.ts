// P21: what operators and new versions of the code do to schedules.
import { tickId } from '../../core/schedule.js'
import { createUpkeep, declareSchedules } from '../../schedules/declare.js'
import { schedule } from '../../schedules/define.js'
import type { StatefulDriver, Traits } from '../../driver/driver.js'
import { handle } from '../../worker/define.js'
import { remembering } from './needs.js'
import { assert, codeOf, SILENT, until } from './stage.js'
import { other, z } from './tasks.js'
import { idsOf, openProcess } from './ticking.js'

const nothing = () => {}
const LONG = { every: '7d' } as const

async function messageOf(call: () => unknown): Promise<string> {
  try {
    await call()
  } catch (error) {
    return (error as Error).message
  }
  return 'no error'
}

export const scheduleVerbCases = remembering([
  {
    promise: 'P21',
    level: 'runtime',
    name: 'a rule that the driver cannot keep is refused, at run time and when a worker starts',
    async run(stage) {
      const without = (traits: Partial<Traits>) => (driver: StatefulDriver<any>) => ({
        ...driver,
        traits: { ...driver.traits, ...traits },
      })
      const clients = [
        { client: stage.client({ wrap: without({ unique: false }) }), rule: { ...LONG, overlap: 'skip' } },
        { client: stage.client({ wrap: without({ delay: false }) }), rule: { ...LONG, jitter: '1m' } },
      ] as const
      for (const { client, rule } of clients) {
        assert.equal(await codeOf(() => client.schedules.create('s', rule, other)), 'ERR_UNSUPPORTED')
        const declared = () => client.work({ handlers: [schedule('s', rule, other)] })
        assert.equal(await codeOf(declared), 'ERR_UNSUPPORTED')
        assert.deepEqual(await client.schedules.list(), [])
      }
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'a schedule made at run time is kept, listed, replaced by another definition, and removed',
    async run(stage) {
      const [client, observer] = [stage.client(), stage.client()]
      const made = await client.schedules.create('s', { every: '7d', missed: 'all' }, z, { n: 1 })
      assert.deepEqual(await client.schedules.create('s', { every: '7d', missed: 'all' }, z, { n: 1 }), made)
      assert.deepEqual(await observer.schedules.list(), [made])
      assert.deepEqual(
        { ...made, next: made.next?.getTime() },
        {
          name: 's',
          every: 604_800_000,
          missed: 'all',
          overlap: 'allow',
          jitter: 0,
          task: 'numbers',
          queue: 'q',
          next: (Math.floor(Date.now() / 604_800_000) + 1) * 604_800_000,
          paused: false,
          from: 'runtime',
          live: true,
        },
      )
      const replaced = await client.schedules.create('s', { cron: '0 3 * * *', timezone: 'Asia/Tokyo' }, other)
      assert.deepEqual(await observer.schedules.list(), [replaced])
      assert.deepEqual(
        [replaced.cron, replaced.timezone, replaced.task, replaced.every],
        ['0 3 * * *', 'Asia/Tokyo', 'nothing', undefined],
      )
      await observer.schedules.remove('s')
      assert.deepEqual(await client.schedules.list(), [])
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'what cannot be is refused: inputs that do not fit, times that have passed, unknown names, and names of code',
    async run(stage) {
      const client = stage.client()
      const { schedules } = client
      assert.equal(await codeOf(() => schedules.create('s', LONG, z, { n: 'one' as never })), 'ERR_VALIDATION')
      assert.match(
        await messageOf(() => schedules.create('s', { at: new Date(1_000) }, other)),
        /1970-01-01T00:00:01.000Z has passed/,
      )
      assert.match(
        await messageOf(() => schedules.create('s', LONG, z, (() => ({ n: 1 })) as never)),
        /function of the tick/,
      )
      assert.match(await messageOf(() => schedules.pause('s')), /no schedule "s"\. There are none yet/)
      await schedules.create('here', LONG, other)
      for (const verb of ['pause', 'resume', 'remove', 'trigger'] as const)
        assert.match(await messageOf(() => schedules[verb]('s')), /no schedule "s"\. There are: here/)
      await client.work({ handlers: [schedule('code', LONG, other)] })
      assert.match(await messageOf(() => schedules.create('code', LONG, other)), /declared by code/)
      assert.match(await messageOf(() => schedules.remove('code')), /code of a live worker/)
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'trigger enqueues one job now, beside the ticks, also while paused',
    async run(stage) {
      const client = stage.client()
      const ticks: Date[] = []
      await client.work({
        handlers: [
          schedule('own', LONG, (tick) => void ticks.push(tick.time)),
          schedule('made', LONG, z, (tick) => ({ n: tick.time.getTime() })),
          handle(z, ({ n }) => ({ n })),
        ],
      })
      const before = await client.schedules.list()
      await client.schedules.pause('own')
      const { id } = await client.schedules.trigger('own')
      const second = await client.schedules.trigger('own')
      assert.match(id, /^schedule\/own\/trigger\//)
      assert.notEqual(second.id, id)
      await until(() => ticks.length === 2, 'both triggered jobs')
      const made = await client.schedules.trigger('made')
      const task = client.job(z, `${made.id}/task`)
      await until(async () => (await client.jobs.get(task.id)) !== undefined, 'the job that its input was made for')
      assert.ok((await task.result()).n > 0)
      assert.deepEqual(
        (await client.schedules.list()).map(({ next }) => next),
        before.map(({ next }) => next),
      )
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: "with overlap 'skip', a trigger answers the job that has not finished",
    needs: (traits) => (traits.unique ? undefined : 'keeps no unique keys'),
    async run(stage) {
      const client = stage.client()
      await client.schedules.create('s', { ...LONG, overlap: 'skip' }, other)
      const first = await client.schedules.trigger('s')
      assert.deepEqual(await client.schedules.trigger('s'), { id: first.id, duplicate: true })
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'a paused schedule makes no ticks, and those of the pause are not made up for',
    async run(stage) {
      const client = stage.client()
      const made = await client.schedules.create('s', { every: '1h', missed: 'all' }, other)
      const next = made.next!.getTime()
      const { driver, step } = await openProcess(stage)
      await client.schedules.pause('s')
      assert.equal((await client.schedules.list())[0]!.paused, true)
      await step(next)
      assert.deepEqual(await idsOf(driver), [])
      // As if it had been paused for long: its cursor stands in the past.
      const entry = (await driver.state.get({ key: 'schedule/s' }))!
      const past = { ...(JSON.parse(entry.value) as object), next: next - 20 * 3_600_000 }
      await driver.state.set({ key: entry.key, value: JSON.stringify(past) })
      await client.schedules.resume('s')
      await step(Date.now())
      assert.deepEqual(await idsOf(driver), [])
      await step(next)
      assert.deepEqual(await idsOf(driver), [tickId('s', next)])
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'a schedule with one tick makes it, and no other',
    async run(stage) {
      const client = stage.client()
      const at = Date.now() + 60_000
      await client.schedules.create('s', { at: new Date(at) }, other)
      const { driver, step } = await openProcess(stage)
      assert.deepEqual(await step(at - 1), { schedules: 1, due: at })
      assert.deepEqual(await step(at), { schedules: 1 })
      await step(at + 3_600_000)
      assert.deepEqual(await idsOf(driver), [tickId('s', at)])
      const [info] = await client.schedules.list()
      assert.deepEqual([info!.next, info!.previous?.getTime()], [undefined, at])
      // The same again changes nothing: it has ticked.
      assert.deepEqual(await client.schedules.create('s', { at: new Date(at) }, other), info)
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'the newest declaration holds; it keeps the cursor of unchanged times, and what an operator said',
    async run(stage) {
      const client = stage.client()
      const [before, newer] = [
        await openProcess(stage, [schedule('s', { every: '1m' }, other)]),
        await openProcess(stage, [schedule('s', { every: '1m', missed: 'all' }, z, { n: 2 })]),
      ]
      const changed = await openProcess(stage, [schedule('s', { every: '1h' }, other)])
      const minute = 60_000
      const start = Math.floor(Date.now() / (60 * minute)) * 60 * minute
      const look = async () => (await client.schedules.list())[0]!
      await before.declare(start)
      await client.schedules.pause('s')
      await newer.declare(start + 5 * minute)
      assert.deepEqual([(await look()).missed, (await look()).task, (await look()).paused], ['all', 'numbers', true])
      assert.equal((await look()).next?.getTime(), start + minute)
      await changed.declare(start + 5 * minute)
      assert.deepEqual([(await look()).next?.getTime(), (await look()).paused], [start + 60 * minute, true])
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'when the worker of the newest declaration is gone, one of the same code stands for it, else an older one',
    async run(stage) {
      const driver = await stage.driver()
      const client = stage.client()
      const worker = async (missed: 'once' | 'all') => {
        const hand = await stage.hand(driver, { prefetch: 0 })
        const schedules = [schedule('s', { ...LONG, missed }, other)['~schedule']!]
        await hand.beat({ schedules: ['s'] })
        const own = { driver, schedules, now: Date.now, log: SILENT, worker: hand.worker }
        return { ...hand, declare: () => declareSchedules(own), keepUp: createUpkeep(own) }
      }
      const [old, same, newest] = [await worker('once'), await worker('all'), await worker('all')]
      for (const one of [old, same, newest]) await one.declare()
      const missed = async () => (await client.schedules.list())[0]!.missed
      await newest.leave()
      await old.keepUp() // it doubts
      await same.keepUp() // it says the same, and stands for it
      await old.keepUp()
      assert.equal(await missed(), 'all')
      await same.leave()
      await old.keepUp()
      assert.equal(await missed(), 'all')
      await old.keepUp()
      assert.equal(await missed(), 'once')
      // One that somebody has removed is declared again.
      await driver.state.delete({ key: 'schedule/s' })
      await old.keepUp()
      assert.equal(await missed(), 'once')
    },
  },
  {
    promise: 'P21',
    level: 'runtime',
    name: 'the doctor flags a schedule that no live worker declares, and it can be removed',
    async run(stage) {
      const client = stage.client()
      const worker = await client.work({ handlers: [schedule('s', LONG, nothing)] })
      const codes = async () => (await client.doctor()).map(({ code }) => code)
      assert.equal((await client.schedules.list())[0]!.live, true)
      assert.ok(!(await codes()).includes('schedule-undeclared'))
      await worker.stop()
      assert.equal((await client.schedules.list())[0]!.live, false)
      assert.ok((await codes()).includes('schedule-undeclared'))
      await client.schedules.remove('s')
      assert.ok(!(await codes()).includes('schedule-undeclared'))
    },
  },
])
