// P12: bounded. P13: validated twice. P14: no handler here. P18: no silent no.
import { wrapDelivery } from '../../driver/wrap.js'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { defineTask } from '../../core/task.js'
import { unchecked } from '../../core/schema.js'
import type { Consumer, StatefulDriver } from '../../driver/driver.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, deadJobs, memory, results } from './needs.js'
import { assert, codeOf, envelope, QUEUE, until, REPLY } from './stage.js'
import { other, z } from './tasks.js'

const any = defineTask('any', {
  queue: QUEUE,
  input: unchecked<unknown>(),
  output: unchecked<unknown>(),
  retry: { maxAttempts: 5 },
})
const MIB = 1024 * 1024

export const limitCases: readonly ConformanceCase[] = [
  {
    promise: 'P12',
    level: 'runtime',
    name: 'an input of just 1 MiB passes; one byte more, or what is no JSON, is refused and nothing is queued',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const fits = 'x'.repeat(MIB - 2)
      const job = await client.enqueue(any, fits)
      assert.equal((await job.info()).input, fits)
      assert.equal(await codeOf(() => client.enqueue(any, `${fits}x`)), 'ERR_PAYLOAD_TOO_LARGE')
      await assert.rejects(client.enqueue(any, { a: [1, new Date()] }), {
        code: 'ERR_VALIDATION',
        message: /\$\.a\[1\]/,
      })
      const bad = client.enqueueMany(any, [1, 2, 3n])
      await assert.rejects(bad, { code: 'ERR_VALIDATION', message: /inputs\[2\]/ })
      assert.equal((await client.jobs.list()).jobs.length, 1)
    },
  },
  {
    promise: 'P12',
    level: 'runtime',
    name: 'an invalid or oversized result is dead, reason invalid-output, and never retried',
    needs: all(results, deadJobs),
    async run(stage) {
      const client = stage.client()
      let ran = 0
      await client.work({
        handlers: [
          handle(any, (input) => {
            ran++
            return input === 'large' ? 'x'.repeat(MIB) : new Map()
          }),
          handle(z, () => ({ n: 'no number' as unknown as number })),
        ],
      })
      const jobs = [
        await client.enqueue(any, 'large', REPLY),
        await client.enqueue(any, 'map', REPLY),
        await client.enqueue(z, { n: 1 }, REPLY),
      ]
      for (const job of jobs) {
        assert.equal(await codeOf(() => job.result()), 'ERR_JOB_FAILED')
        const info = await job.info()
        assert.deepEqual([info.state, info.reason, info.attempt], ['dead', 'invalid-output', 1])
      }
      assert.equal(ran, 2)
    },
  },
  {
    promise: 'P13',
    level: 'runtime',
    name: "enqueue rejects with the schema's issues; a job that came past it dies before the handler, reason invalid-input",
    needs: memory,
    async run(stage) {
      const client = stage.client()
      await assert.rejects(client.enqueue(z, { n: 'x' as unknown as number }), {
        code: 'ERR_VALIDATION',
        issues: [{ path: '$.n', message: 'a number is expected' }],
      })
      assert.equal(await codeOf(() => client.enqueue(other, 1 as unknown as undefined)), 'ERR_VALIDATION')
      const driver = await stage.driver()
      const bodies = ['{"n":"x"}', '{broken', '']
      const envelopes = bodies.map((body) => envelope({ name: z.name, body }))
      await driver.broker.publish({ envelopes })
      let ran = 0
      await client.work({
        handlers: [
          handle(z, (input) => {
            ran++
            return input
          }),
        ],
      })
      for (const { id } of envelopes) {
        assert.equal(await codeOf(() => client.job(z, id).result()), 'ERR_JOB_FAILED')
        const info = await client.job(z, id).info()
        assert.deepEqual([info.reason, info.attempt, info.errors[0]?.name], ['invalid-input', 0, 'ValidationError'])
      }
      assert.equal(ran, 0)
    },
  },
  {
    promise: 'P13',
    level: 'runtime',
    name: 'what travels is what was sent; each receiver parses it once, asynchronous schemas too',
    needs: results,
    async run(stage) {
      const client = stage.client()
      const doubling: StandardSchemaV1<number, number> = {
        '~standard': { version: 1, vendor: 'test', validate: async (value) => ({ value: Number(value) * 2 }) },
      }
      const twice = defineTask('twice', { queue: QUEUE, input: doubling, output: doubling })
      await client.work({ handlers: [handle(twice, (n) => n + 1)] })
      const job = await client.enqueue(twice, 5, REPLY)
      assert.equal(await job.result(), 22) // (5 × 2 + 1) × 2
      if (!stage.traits.remembers) return
      const info = await job.info()
      assert.deepEqual([info.input, info.output], [5, 11])
    },
  },
  {
    promise: 'P14',
    level: 'runtime',
    name: 'a job without a handler here is given back unspent and shown, until a worker that has one comes',
    needs: memory,
    async run(stage) {
      const [client, deployed] = [stage.client(), stage.client()]
      const old = await client.work({ handlers: [handle(other, () => {})] })
      const job = await client.enqueue(z, { n: 1 })
      await until(async () => (await job.info()).blocked !== undefined, 'the job to be given back')
      const info = await job.info()
      assert.deepEqual([info.state, info.attempt, info.blocked!.why], ['scheduled', 0, 'no-handler'])
      await old.stop()
      await deployed.work({ handlers: [handle(z, (input) => input)] })
      await client.jobs.retry({ ids: [job.id], states: ['scheduled'] })
      assert.deepEqual(await job.result(), { n: 1 })
    },
  },
  {
    promise: 'P14',
    level: 'runtime',
    name: 'after a day without a handler it is dead, reason no-handler, and not a second before',
    needs: memory,
    async run(stage) {
      const day = 86_400_000
      for (const [age, expected] of [
        [day - 60_000, 'scheduled'],
        [day + 1_000, 'dead'],
      ] as const) {
        const client = stage.client({ wrap: (driver) => blockedFor(age, driver) })
        const job = await client.enqueue(z, { n: 1 })
        const worker = await client.work({ handlers: [handle(other, () => {})] })
        await until(
          async () => (await job.info()).run === 1 && (await job.info()).state !== 'active',
          'the job to be settled',
        )
        const info = await job.info()
        assert.deepEqual([info.state, info.reason], [expected, expected === 'dead' ? 'no-handler' : undefined])
        await worker.stop()
        await job.cancel()
      }
    },
  },
  {
    promise: 'P18',
    level: 'driver',
    name: 'whatever the traits deny throws UnsupportedError',
    async run(stage) {
      const driver = await stage.driver()
      const { traits, broker } = driver
      const denied: [boolean, () => Promise<unknown>][] = [
        [!traits.delay, () => broker.publish({ envelopes: [envelope({ notBefore: Date.now() + 60_000 })] })],
        [traits.priorities === 0, () => broker.publish({ envelopes: [envelope({ priority: 9 })] })],
        [!traits.unique, () => broker.publish({ envelopes: [envelope({ unique: { key: 'k', until: 'finished' } })] })],
        [traits.transactions === 'none', async () => broker.publish({ envelopes: [envelope()], tx: {} })],
      ]
      for (const [isDenied, call] of denied)
        if (isDenied) assert.equal(await codeOf(call), 'ERR_UNSUPPORTED')
        else assert.notEqual(await codeOf(call), 'ERR_UNSUPPORTED')
    },
  },
  {
    promise: 'P18',
    level: 'runtime',
    name: 'an option that does not exist, and a value that is not allowed, are refused by name',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const wrong: [() => unknown, RegExp][] = [
        [() => client.enqueue(other, undefined, { dealy: '5m' } as object), /no option "dealy"/],
        [() => client.enqueue(other, undefined, { delay: '5 parsecs' as '5m' }), /"5 parsecs" is no duration/],
        [() => client.enqueue(other, undefined, { priority: 10 as 9 }), /priority: 10/],
        [() => client.enqueue(other, undefined, { id: 'a\nb' }), /job id "a\\nb"/],
        [() => client.enqueue(other, undefined, { runAt: new Date('x') }), /runAt/],
        [() => client.jobs.list({ states: ['failed' as 'dead'] }), /no state "failed"/],
        [() => client.jobs.list({ limit: 0 }), /limit: 0/],
        [() => client.jobs.cancel({ limit: -1 }), /limit: -1/],
        [() => client.jobs.list({ cursor: 'page two' }), /cursor: "page two"/],
        [
          () => client.enqueue(other, undefined, { unique: { key: 'k', untill: 'started' } as never }),
          /no option "untill"/,
        ],
        [() => client.work({ handlers: [handle(other, () => {})], middleware: (() => {}) as never }), /middleware/],
        [() => client.work({ handlers: [handle(other, () => {})] }, { queues: [] }), /the list is empty/],
        [() => client.queues.pause('no such queue'), /no queue "no such queue"/],
        [() => client.work({ handlers: [] }), /there are none/],
        [() => client.work({ handlers: [handle(other, () => {}), handle(other, () => {})] }), /two handlers/],
        [() => client.work({ handlers: [handle(other, () => {})] }, { queues: ['typo'] }), /queue "typo"/],
      ]
      for (const [call, message] of wrong) await assert.rejects(async () => call(), { message })
      assert.equal((await client.jobs.list()).jobs.length, 0)
    },
  },
]

/** The driver, with deliveries that seem to have been given back for want of a handler since `age` milliseconds ago. */
function blockedFor(age: number, driver: StatefulDriver<any>): StatefulDriver<any> {
  const broker = {
    ...driver.broker,
    consume: (o: Parameters<typeof driver.broker.consume>[0]): Promise<Consumer> =>
      driver.broker.consume({
        ...o,
        onDelivery: (delivery) =>
          o.onDelivery(wrapDelivery(delivery, { blocked: { why: 'no-handler', since: Date.now() - age } })),
      }),
  }
  return { ...driver, broker }
}
