// P5: retries.
import { fixed } from '../../core/retry.js'
import { defineTask } from '../../core/task.js'
import { NonRetryableError, RetryLaterError } from '../../core/errors.js'
import { handle } from '../../worker/define.js'
import type { ConformanceCase } from './case.js'
import { all, deadJobs, memory, results } from './needs.js'
import { assert, codeOf, envelope, QUEUE, recordOf, until, REPLY } from './stage.js'
import { other } from './tasks.js'

const stubborn = defineTask('stubborn', { queue: QUEUE, retry: { maxAttempts: 7, backoff: fixed(0) } })

export const retryCases: readonly ConformanceCase[] = [
  {
    promise: 'P5',
    level: 'driver',
    name: 'a retry waits its delay as retrying, spends an attempt and keeps the error',
    needs: memory,
    async run(stage) {
      const driver = await stage.driver()
      const one = envelope()
      await driver.broker.publish({ envelopes: [one] })
      const hand = await stage.hand(driver)
      await (
        await hand.next()
      ).retry({ delay: 100, error: { name: 'TypeError', message: 'nope', stack: 'at x', at: 7 } })
      const stats = await driver.broker.stats({ queue: QUEUE })
      assert.deepEqual([stats.retrying, stats.scheduled, stats.ready, stats.active], [1, 0, 0, 0])
      const waiting = await recordOf(driver, one.id)
      assert.deepEqual([waiting.state, waiting.attempt], ['scheduled', 1])
      const again = await hand.next()
      assert.ok(Date.now() >= waiting.dueAt, 'not early')
      assert.deepEqual([again.attempt, again.run], [2, 2])
      const [error] = (await recordOf(driver, one.id)).errors
      assert.deepEqual(error, { name: 'TypeError', message: 'nope', stack: 'at x', at: 7 })
    },
  },
  {
    promise: 'P5',
    level: 'runtime',
    name: 'a job is tried maxAttempts times, then dead with its last five errors, and can be retried by filter',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      let works = false
      const attempts: number[] = []
      await client.work({
        handlers: [
          handle(stubborn, (_, ctx) => {
            attempts.push(ctx.job.attempt)
            if (!works) throw new Error(`failure ${ctx.job.attempt}`)
          }),
        ],
      })
      const job = await client.enqueue(stubborn)
      assert.equal(await codeOf(() => job.result()), 'ERR_JOB_FAILED')
      assert.deepEqual(attempts, [1, 2, 3, 4, 5, 6, 7])
      const info = await job.info()
      assert.deepEqual([info.state, info.reason, info.attempt], ['dead', 'failed', 7])
      assert.deepEqual(
        info.errors.map((error) => error.message),
        [3, 4, 5, 6, 7].map((n) => `failure ${n}`),
      )
      works = true
      assert.equal(await client.jobs.retry({ task: stubborn, error: 'no such text' }), 0)
      assert.equal(await client.jobs.retry({ task: stubborn, states: ['dead'], error: 'FAILURE 7' }), 1)
      await job.result()
      const after = await job.info()
      assert.deepEqual([after.state, after.attempt, after.run], ['completed', 1, 8])
    },
  },
  {
    promise: 'P5',
    level: 'runtime',
    name: 'NonRetryableError is final, RetryLaterError spends no attempt, and onDead is called once',
    needs: all(results, deadJobs),
    async run(stage) {
      const client = stage.client()
      const seen: [string, number][] = []
      const dead: string[] = []
      const later = defineTask('later', { queue: QUEUE, retry: false })
      await client.work({
        handlers: [
          handle(
            other,
            () => {
              throw new NonRetryableError('hopeless')
            },
            { onDead: (job) => void dead.push(`${job.id} ${job.state} ${job.reason}`) },
          ),
          handle(later, (_, ctx) => {
            seen.push([ctx.job.id, ctx.job.attempt])
            if (seen.length < 3) throw new RetryLaterError(1)
          }),
        ],
      })
      const hopeless = await client.enqueue(other, undefined, REPLY)
      assert.equal(await codeOf(() => hopeless.result()), 'ERR_JOB_FAILED')
      assert.equal((await hopeless.info()).attempt, 1)
      await until(() => dead.length > 0, 'onDead')
      assert.deepEqual(dead, [`${hopeless.id} dead failed`])
      const patient = await client.enqueue(later, undefined, REPLY)
      await patient.result()
      assert.deepEqual(
        seen.map(([, attempt]) => attempt),
        [1, 1, 1],
      )
    },
  },
  {
    promise: 'P5',
    level: 'runtime',
    name: 'an expired job is not run: dead, reason expired; RetryLaterError cannot outlast it',
    needs: memory,
    async run(stage) {
      const client = stage.client()
      let ran = 0
      const brief = defineTask('brief', { queue: QUEUE, expires: 60 })
      const polite = defineTask('polite', { queue: QUEUE, expires: '1m' })
      const overdue = await client.enqueue(brief, undefined)
      const until60 = Date.now() + 60
      await until(() => Date.now() > until60, 'the job to expire')
      await client.work({
        handlers: [
          handle(brief, () => void ran++),
          handle(polite, () => {
            throw new RetryLaterError('2m')
          }),
        ],
      })
      assert.equal(await codeOf(() => overdue.result()), 'ERR_JOB_FAILED')
      assert.deepEqual([(await overdue.info()).reason, ran], ['expired', 0])
      const endless = await client.enqueue(polite)
      assert.equal(await codeOf(() => endless.result()), 'ERR_JOB_FAILED')
      assert.equal((await endless.info()).reason, 'expired')
      // An operator's retry gives it its time anew.
      await client.jobs.retry(overdue.id)
      await overdue.result()
      assert.equal(ran, 1)
    },
  },
  {
    promise: 'P5',
    level: 'runtime',
    name: 'a RetryLaterError with a delay that is none fails the attempt, and so ends',
    needs: all(results, deadJobs),
    async run(stage) {
      const client = stage.client()
      let ran = 0
      await client.work({
        handlers: [
          handle(other, () => {
            ran++
            throw new RetryLaterError('5 minutes')
          }),
        ],
      })
      const job = await client.enqueue(other, undefined, REPLY)
      assert.equal(await codeOf(() => job.result()), 'ERR_JOB_FAILED')
      assert.deepEqual([ran, (await job.info()).errors.length], [3, 3])
    },
  },
]
