// P11: results.
import { defineTask } from '../../core/task.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { memory, results } from './needs.js'
import { assert, codeOf, deferred, QUEUE, until, REPLY } from './stage.js'
import { other, withNumber, z } from './tasks.js'

export const resultCases: readonly ConformanceCase[] = [
  {
    promise: 'P11',
    level: 'runtime',
    name: 'a result reaches a caller in another process, before and after the job has finished',
    needs: memory,
    async run(stage) {
      const [caller, server] = [stage.client(), stage.client()]
      const job = await caller.enqueue(z, { n: 20 })
      const early = job.result()
      await server.work({ handlers: [handle(z, ({ n }) => ({ n: n + 1 }))] })
      assert.deepEqual(await early, { n: 21 })
      assert.deepEqual(await job.result({ timeout: 0.5 }).catch(() => job.result()), { n: 21 })
      assert.deepEqual(await server.job(z, job.id).result(), { n: 21 })
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: 'many waiting callers all get their own result',
    needs: results,
    async run(stage) {
      const client = stage.client()
      const jobs = await client.enqueueMany(
        z,
        Array.from({ length: 300 }, (_, n) => ({ n })),
        REPLY,
      )
      const every = Promise.all(jobs.map((job) => job.result()))
      await client.work({ handlers: [handle(z, ({ n }) => ({ n: n + 1000 }))] })
      assert.deepEqual(
        (await every).map(({ n }) => n - 1000),
        Array.from({ length: 300 }, (_, n) => n),
      )
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: 'a failure carries name, message and stack of what the handler threw',
    needs: results,
    async run(stage) {
      const client = stage.client()
      const once = defineTask('once', { queue: QUEUE, retry: false })
      await client.work({
        handlers: [
          handle(once, () => {
            throw new RangeError('too far')
          }),
        ],
      })
      const job = await client.enqueue(once, undefined, REPLY)
      await job.result().then(
        () => assert.fail('it resolved'),
        (error: { code: string; reason: string; cause: Error; message: string }) => {
          assert.deepEqual([error.code, error.reason], ['ERR_JOB_FAILED', 'failed'])
          assert.deepEqual([error.cause.name, error.cause.message], ['RangeError', 'too far'])
          assert.match(error.cause.stack ?? '', /RangeError: too far\n\s+at /)
          assert.match(error.message, /RangeError: too far/)
        },
      )
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: 'waiting ends: by timeout, by signal, by close, and at once for a job that is not there',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const job = await client.enqueue(other)
      assert.equal(await codeOf(() => job.result({ timeout: 20 })), 'ERR_RESULT_TIMEOUT')
      const stop = new AbortController()
      const aborted = job.result({ signal: stop.signal })
      stop.abort(new Error('changed my mind'))
      await assert.rejects(aborted, /changed my mind/)
      assert.equal(await codeOf(() => client.job(other, 'no such job').result()), 'ERR_JOB_NOT_FOUND')
      const waiting = job.result({ timeout: '1h' })
      const ended = assert.rejects(waiting, { code: 'ERR_CLIENT_CLOSED' })
      await client.close()
      await ended
      assert.equal(await codeOf(() => client.enqueue(other)), 'ERR_CLIENT_CLOSED')
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: 'progress is seen by others while the job runs',
    needs: memory,
    async run(stage) {
      const [client, operator] = [stage.client(), stage.client()]
      const finish = deferred()
      await client.work({
        handlers: [
          handle(other, async (_, ctx) => {
            await ctx.progress(0.25, 'a quarter')
            await finish.promise
          }),
        ],
      })
      const job = await client.enqueue(other)
      await until(async () => (await operator.jobs.get(job.id))?.progress === 0.25, 'the progress')
      assert.equal((await job.info()).note, 'a quarter')
      finish.resolve()
      await job.result()
    },
  },
  {
    promise: 'P11',
    level: 'runtime',
    name: 'a job enqueued by a handler knows its parent and trace',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      const parent = defineTask('parent', { queue: QUEUE, output: withNumber })
      let child: string | undefined
      await client.work({
        handlers: [
          handle(parent, async (_, ctx) => {
            child = (await ctx.enqueue(other)).id
            return { n: 1 }
          }),
          handle(other, () => {}),
        ],
      })
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      const job = await client.enqueue(parent, undefined, { headers: { traceparent } })
      await job.result()
      const headers = (await client.jobs.get(child!))!.headers
      assert.deepEqual(headers, { 'millrace-parent': job.id, traceparent })
    },
  },
]
