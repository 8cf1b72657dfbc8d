// P19: heals. After an outage publishing and consuming go on by themselves, and no handler runs twice for it.
import type { Client } from '../../connect.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, memory } from './needs.js'
import { assert, codeOf, deferred, until } from './stage.js'
import { other, z } from './tasks.js'

const needs: ConformanceCase['needs'] & {} = (_traits, place) =>
  place.outage ? undefined : 'cannot be away: it lives in this process'

/** The short time-out is for the outage. Afterwards a dial on a machine under load may need longer: the next call dials again. */
async function published(client: Client<any>): Promise<void> {
  let job: { readonly duplicate: boolean } | undefined
  const taken = async () => (job = await client.enqueue(other).catch(() => undefined)) !== undefined
  await until(taken, 'a publish after the outage')
  assert.equal(job!.duplicate, false)
}

export const outageCases: readonly ConformanceCase[] = [
  {
    promise: 'P19',
    level: 'runtime',
    name: 'a settle that fails by outage is repeated, the handler is not rerun, and health tells the truth meanwhile',
    needs: all(memory, needs),
    async run(stage) {
      const client = stage.client({ publishTimeout: 200 })
      const [started, finish] = [deferred(), deferred()]
      let runs = 0
      const worker = await client.work({
        handlers: [
          handle(z, async ({ n }) => {
            runs++
            started.resolve()
            await finish.promise
            return { n }
          }),
        ],
      })
      const job = await client.enqueue(z, { n: 5 })
      await started.promise
      const outage = await stage.place.outage!()
      finish.resolve()
      await until(() => !worker.health().ready, 'health to tell of the outage')
      await outage.end()
      assert.deepEqual(await job.result(), { n: 5 })
      await until(() => worker.health().ready, 'health to recover')
      assert.equal(runs, 1)
      assert.equal((await job.info()).run, 1)
    },
  },
  {
    promise: 'P19',
    level: 'runtime',
    name: 'after an outage an idle worker takes jobs again by itself',
    needs,
    async run(stage) {
      const client = stage.client({ publishTimeout: 200 })
      const ran = deferred()
      await client.work({ handlers: [handle(other, () => ran.resolve())] })
      const outage = await stage.place.outage!()
      assert.equal(await codeOf(() => client.enqueue(other)), 'ERR_BROKER_UNAVAILABLE')
      await outage.end()
      await published(client)
      await ran.promise
    },
  },
  {
    promise: 'P4',
    level: 'runtime',
    name: 'a stop ends in time also while the store is away',
    needs,
    async run(stage) {
      const client = stage.client({ publishTimeout: 200 })
      const [started, finish] = [deferred(), deferred()]
      const worker = await client.work({
        handlers: [
          handle(other, async () => {
            started.resolve()
            await finish.promise
          }),
        ],
      })
      await client.enqueue(other)
      await started.promise
      const outage = await stage.place.outage!()
      finish.resolve()
      await worker.stop({ grace: 100 })
      await outage.end()
    },
  },
  {
    promise: 'P19',
    level: 'runtime',
    name: 'a dial that failed is tried again at the next call',
    needs,
    async run(stage) {
      const client = stage.client({ publishTimeout: 200 })
      await stage.client().enqueue(other) // what a broker takes to make a queue is not what this is about
      const outage = await stage.place.outage!()
      assert.notEqual(await codeOf(() => client.enqueue(other)), 'no error')
      await outage.end()
      await published(client)
    },
  },
]
