// A pair whose broker answers nobody for a while. The store goes on: what runs is settled, ticks are made. Nothing new is taken
// meanwhile; when the broker is back all goes on by itself, and nothing runs twice for it.
import type { Job } from '../../client/types.js'
import type { JobState } from '../../core/job.js'
import { schedule } from '../../schedules/define.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { assert, deferred, QUEUE, until } from './stage.js'
import { other, z } from './tasks.js'

const needs: NonNullable<ConformanceCase['needs']> = (_traits, place) =>
  place.brokerOutage ? undefined : 'has no broker beside its store that can be away'

export const pairOutageCases: readonly ConformanceCase[] = [
  {
    promise: 'P1',
    level: 'runtime',
    name: 'with the broker of a pair away enqueue rejects in time and nothing is kept; afterwards the same id is a new job',
    needs,
    async run(stage) {
      await (await stage.driver()).broker.declare({ name: QUEUE })
      const client = stage.client({ publishTimeout: 1_000 })
      await client.work({ handlers: [handle(z, ({ n }) => ({ n }))] })
      assert.deepEqual(await (await client.enqueue(z, { n: 1 })).result(), { n: 1 })
      const outage = await stage.place.brokerOutage!()
      const failed = await client.enqueue(z, { n: 2 }, { id: 'mine' }).then(
        () => 'no error',
        ({ code, outcome, ids }: { code: string; outcome: string; ids: string[] }) => [code, outcome, ids],
      )
      assert.deepEqual(failed, ['ERR_BROKER_UNAVAILABLE', 'not-sent', ['mine']])
      assert.equal(await client.jobs.get('mine'), undefined)
      await outage.end()
      let again: Job<{ n: number }> | undefined
      const taken = async () => (again = await client.enqueue(z, { n: 2 }, { id: 'mine' }).catch(() => undefined))
      await until(async () => (await taken()) !== undefined, 'the broker to take it')
      assert.equal(again!.duplicate, false)
      assert.deepEqual(await again!.result(), { n: 2 })
    },
  },
  {
    promise: 'P19',
    level: 'runtime',
    name: 'health of a worker tells that the broker of its pair is away, and when it is back',
    needs,
    async run(stage) {
      await (await stage.driver()).broker.declare({ name: QUEUE })
      const client = stage.client({ publishTimeout: 1_000 })
      const worker = await client.work({ handlers: [handle(z, ({ n }) => ({ n }))] })
      assert.equal(worker.health().ready, true)
      const outage = await stage.place.brokerOutage!()
      await until(() => !worker.health().ready, 'health to tell of the outage')
      assert.deepEqual(worker.health().reasons, ['the broker does not answer'])
      await outage.end()
      await until(() => worker.health().ready, 'health to recover', 30_000)
    },
  },
  {
    promise: 'P19',
    level: 'runtime',
    name: 'a process that ends while the broker of its pair is away keeps nothing back that was due meanwhile',
    needs,
    async run(stage) {
      await (await stage.driver()).broker.declare({ name: QUEUE })
      const leaving = stage.client({ publishTimeout: 1_000 })
      const worker = await leaving.work({ handlers: [handle(z, ({ n }) => ({ n }))] })
      const outage = await stage.place.brokerOutage!()
      await until(() => !worker.health().ready, 'the worker to miss the broker')
      const { id } = await leaving.enqueue(z, { n: 1 }, { delay: 50 })
      await until(async () => (await leaving.jobs.get(id))?.state === 'ready', 'the job to be due')
      await worker.stop()
      await leaving.close()
      await outage.end()
      const client = stage.client()
      await client.work({ handlers: [handle(z, ({ n }) => ({ n }))] })
      await until(async () => (await client.jobs.get(id))?.state === 'completed', 'the job')
    },
  },
  {
    promise: 'P19',
    level: 'runtime',
    name: 'while the broker of a pair is away what runs is settled and ticks are made; afterwards all is worked by itself, once',
    needs,
    async run(stage) {
      await (await stage.driver()).broker.declare({ name: QUEUE })
      const client = stage.client({ publishTimeout: 1_000 })
      const runs = new Map<string, number>()
      const [started, finish] = [deferred(), deferred()]
      const ran = (id: string) => void runs.set(id, (runs.get(id) ?? 0) + 1)
      await client.work({
        handlers: [
          handle(z, async ({ n }, ctx) => {
            ran(ctx.job.id)
            started.resolve()
            await finish.promise
            return { n }
          }),
          handle(other, (_, ctx) => ran(ctx.job.id)),
          schedule('s', { every: '1s', missed: 'all' }, (_, ctx) => ran(ctx.job.id)),
        ],
      })
      const running = await client.enqueue(z, { n: 1 })
      const delayed = await client.enqueue(other, undefined, { delay: 1_500 })
      await started.promise
      const outage = await stage.place.brokerOutage!()
      finish.resolve()
      await until(async () => (await running.info()).state === 'completed', 'the job that runs to be settled')
      const ticks = async (...states: JobState[]) =>
        (await client.jobs.list({ task: 'schedule:s', states })).jobs.length
      await until(async () => (await ticks('ready', 'scheduled')) >= 2, 'two ticks that wait for the broker')
      await outage.end()
      await until(async () => (await delayed.info()).state === 'completed', 'the delayed job', 30_000)
      await until(async () => (await ticks('completed')) >= 3, 'the ticks')
      await (await client.enqueue(other)).result()
      assert.ok(runs.size >= 6)
      for (const [id, times] of runs) assert.equal(times, 1, `${id} ran once`)
    },
  },
]
