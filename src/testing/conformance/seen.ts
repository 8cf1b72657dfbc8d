// P7 and P16: what an operator sees of jobs and workers: lines of log, who runs what, and what is in the way.
import { KEPT_LINES, LINE_LENGTH, type LogLine, type StatefulDriver } from '../../driver/driver.js'
import { handle } from '../../worker/define.js'
import { remembering } from './needs.js'
import { assert, codeOf, deferred, envelope, ERROR, QUEUE, recordOf, until } from './stage.js'
import { other } from './tasks.js'

const line = (text: string, attempt = 1): LogLine => ({ at: 1_000, level: 'info', text, attempt })
const textsOf = async (driver: StatefulDriver<any>, id: string, after?: number) =>
  (await driver.jobs.logs({ id, limit: 1000, ...(after !== undefined && { after }) })).map(({ text }) => text)

export const seenCases = remembering([
  {
    promise: 'P7',
    level: 'driver',
    name: 'lines of log are kept in order, across attempts, and read on from any of them',
    async run(stage) {
      const [driver, reader] = [await stage.driver(), await stage.driver()]
      const job = envelope()
      await driver.broker.publish({ envelopes: [job, envelope()] })
      const hand = await stage.hand(driver, { prefetch: 1 })
      const first = await hand.next()
      first.note({ log: [line('one'), line('two')] })
      first.note({ progress: 0.5, log: [{ ...line('three'), level: 'warn' }] })
      await until(async () => (await textsOf(reader, job.id)).length === 3, 'three lines, without a settle')
      hand.consumer.setPrefetch(0)
      await first.retry({ delay: 0, error: ERROR })
      await driver.jobs.move({ ids: [job.id], to: 'ready', limit: 1 })
      hand.consumer.setPrefetch(2)
      await until(() => hand.deliveries.length === 3, 'both jobs')
      const again = hand.deliveries.find((one) => one.envelope.id === job.id && one.attempt === 2)!
      again.note({ log: [line('four', 2)] })
      await again.ack()
      const lines = await reader.jobs.logs({ id: job.id, limit: 10 })
      assert.deepEqual(
        lines.map(({ text, level, attempt, at }) => [text, level, attempt, at]),
        [
          ['one', 'info', 1, 1_000],
          ['two', 'info', 1, 1_000],
          ['three', 'warn', 1, 1_000],
          ['four', 'info', 2, 1_000],
        ],
      )
      assert.ok(lines.every(({ n }, i) => i === 0 || n > lines[i - 1]!.n))
      assert.deepEqual(await textsOf(reader, job.id, lines[1]!.n), ['three', 'four'])
      assert.deepEqual(
        (await reader.jobs.logs({ id: job.id, limit: 2 })).map(({ text }) => text),
        ['one', 'two'],
      )
      assert.deepEqual(await textsOf(reader, 'nobody'), [])
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'what was said before a settle is there once it is settled, whatever the verb',
    async run(stage) {
      const [driver, reader] = [await stage.driver(), await stage.driver()]
      const verbs = ['ack', 'retry', 'dead', 'release'] as const
      const jobs = verbs.map(() => envelope())
      await driver.broker.publish({ envelopes: jobs })
      const hand = await stage.hand(driver)
      await until(() => hand.deliveries.length === 4, 'four deliveries')
      hand.consumer.setPrefetch(0)
      for (const [i, delivery] of hand.deliveries.entries()) {
        delivery.note({ progress: 0.9, note: 'nearly', log: [line(`said ${i}`)] })
        if (i === 0) await delivery.ack()
        if (i === 1) await delivery.retry({ delay: 60_000, error: ERROR })
        if (i === 2) await delivery.dead({ reason: 'failed', error: ERROR })
        if (i === 3) await delivery.release()
        assert.deepEqual(await textsOf(reader, delivery.envelope.id), [`said ${i}`])
      }
      const done = await recordOf(reader, hand.deliveries[0]!.envelope.id)
      assert.deepEqual([done.progress, done.note], [0.9, 'nearly'])
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'a run that lost its job leaves no line with it',
    async run(stage) {
      const driver = await stage.driver()
      await driver.broker.publish({ envelopes: [envelope()] })
      const [first, second] = [await stage.hand(driver), await stage.hand(driver, { prefetch: 0 })]
      const lost = await first.next()
      first.consumer.setPrefetch(0)
      await first.leave()
      second.consumer.setPrefetch(1)
      const taken = await second.next()
      lost.note({ log: [line('from the grave')] })
      assert.equal(await codeOf(() => lost.ack()), 'ERR_LEASE_LOST')
      taken.note({ log: [line('alive')] })
      await taken.ack()
      assert.deepEqual(await textsOf(driver, lost.envelope.id), ['alive'])
    },
  },
  {
    promise: 'P16',
    level: 'driver',
    name: 'of each job the newest lines are kept, and their numbers go on',
    async run(stage) {
      const driver = await stage.driver()
      await driver.broker.publish({ envelopes: [envelope()] })
      const delivery = await (await stage.hand(driver)).next()
      const { id } = delivery.envelope
      const many = (from: number, n: number) => Array.from({ length: n }, (_, i) => line(`line ${from + i}`))
      delivery.note({ log: many(0, KEPT_LINES - 10) })
      await until(async () => (await textsOf(driver, id)).length === KEPT_LINES - 10, 'the first lines')
      const [before] = (await driver.jobs.logs({ id, limit: 1000 })).slice(-1)
      delivery.note({ log: many(KEPT_LINES - 10, 30) })
      await delivery.ack()
      const kept = await driver.jobs.logs({ id, limit: 1000 })
      assert.equal(kept.length, KEPT_LINES)
      assert.deepEqual([kept[0]!.text, kept.at(-1)!.text], ['line 20', `line ${KEPT_LINES + 19}`])
      assert.equal((await driver.jobs.logs({ id, after: before!.n, limit: 1000 })).length, 30)
    },
  },
  {
    promise: 'P16',
    level: 'driver',
    name: 'lines end with their job: by retention, delete and purge, and a later job never has them',
    async run(stage) {
      const driver = await stage.driver()
      const hand = await stage.hand(driver, { prefetch: 1 })
      const ends: ((id: string) => Promise<unknown>)[] = [
        () => driver.jobs.prune({ limit: 10 }),
        (id) => driver.jobs.move({ ids: [id], to: 'deleted', limit: 1 }),
        () => driver.broker.purge({ queue: QUEUE }),
      ]
      for (const [i, end] of ends.entries()) {
        await driver.broker.publish({ envelopes: [envelope({ keep: { completed: i === 0 ? 0 : 60_000, dead: 0 } })] })
        const delivery = await hand.next()
        const { id } = delivery.envelope
        delivery.note({ log: [line('mine')] })
        hand.consumer.setPrefetch(0)
        await (i === 2 ? delivery.release() : delivery.ack())
        assert.deepEqual(await textsOf(driver, id), ['mine'])
        await until(async () => {
          await end(id)
          return (await driver.jobs.get({ ids: [id] })).length === 0
        }, 'the end of the job')
        assert.deepEqual(await textsOf(driver, id), [])
        const next = envelope()
        await driver.broker.publish({ envelopes: [next] })
        assert.deepEqual(await textsOf(driver, next.id), [])
        await driver.jobs.move({ ids: [next.id], to: 'deleted', limit: 1 })
        hand.consumer.setPrefetch(1)
      }
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'suspects that wait, and jobs without a handler, are found among the others',
    async run(stage) {
      const driver = await stage.driver()
      const jobs = [envelope(), envelope(), envelope(), envelope({ notBefore: Date.now() + 60_000 })]
      const idOf = (i: number) => jobs[i]!.id
      await driver.broker.publish({ envelopes: jobs.slice(0, 2) })
      const hand = await stage.hand(driver)
      await until(() => hand.deliveries.length === 2, 'two deliveries')
      hand.consumer.setPrefetch(0)
      await hand.deliveries.find((one) => one.envelope.id === idOf(1))!.release({ delay: 60_000, why: 'no-handler' })
      await driver.workers.leave({ worker: hand.worker, crashed: true })
      await driver.broker.publish({ envelopes: jobs.slice(2) })
      const found = async (q: object) =>
        (await driver.jobs.list({ limit: 10, ...q })).jobs.map(({ envelope: { id } }) => id)
      assert.deepEqual(await found({ suspect: true }), [idOf(0)])
      assert.deepEqual(await found({ blocked: 'no-handler', states: ['ready', 'scheduled'] }), [idOf(1)])
      assert.deepEqual(await found({ blocked: 'limit' }), [])
      const next = await stage.hand(driver, { prefetch: 1 })
      let delivery = await next.next()
      if (driver.traits.returns === 'at-end' && delivery.envelope.id === idOf(2)) {
        await delivery.ack()
        delivery = await next.next()
      }
      assert.equal(delivery.envelope.id, idOf(0))
      assert.deepEqual(await found({ suspect: true }), [])
    },
  },
  {
    promise: 'P7',
    level: 'driver',
    name: 'the list of workers has what each said with its last beat, and when, until it leaves',
    async run(stage) {
      const [driver, operator] = [await stage.driver(), await stage.driver()]
      const hand = await stage.hand(driver)
      const running = { id: 'a', name: 'task', attempt: 2, suspect: true, since: 5 }
      await hand.beat({ running: 1, jobs: [running], load: 0.25, loopDelay: 7, abandoned: 1, stopping: true })
      const [seen] = await operator.workers.list()
      assert.deepEqual(
        [seen!.worker, seen!.running, seen!.jobs, seen!.load, seen!.loopDelay, seen!.abandoned, seen!.stopping],
        [hand.worker, 1, [running], 0.25, 7, 1, true],
      )
      assert.ok(Math.abs(Date.now() - seen!.beatAt) < 60_000)
      await until(async () => {
        await hand.beat()
        return (await operator.workers.list())[0]!.beatAt > seen!.beatAt
      }, 'a later beat')
      await hand.leave()
      assert.deepEqual(await operator.workers.list(), [])
    },
  },
  {
    promise: 'P7',
    level: 'runtime',
    name: 'lines that a handler logs from info on are kept with the job, cut where they are long, all of them before its result',
    async run(stage) {
      const [client, operator] = [stage.client(), stage.client()]
      await client.work({
        handlers: [
          handle(other, async (_, ctx) => {
            ctx.log.debug('not kept')
            ctx.log.info({ to: 'ada', words: 'two words' }, 'sent\n  twice')
            ctx.log.warn('x'.repeat(LINE_LENGTH + 1))
            ctx.log.error({ error: new Error('gone') }, 'failed')
            await ctx.progress(1, 'over')
          }),
        ],
      })
      const job = await client.enqueue(other)
      await job.result()
      const lines = await operator.jobs.logs(job.id)
      assert.deepEqual(
        lines.map(({ level, text }) => [level, text]),
        [
          ['info', 'sent twice to=ada words="two words"'],
          ['warn', `${'x'.repeat(LINE_LENGTH - 1)}…`],
          ['error', 'failed error="gone"'],
        ],
      )
      const info = await operator.jobs.get(job.id)
      assert.deepEqual([info!.progress, info!.note], [1, 'over'])
      assert.equal((await operator.jobs.logs(job.id, { after: lines[1]!.n, limit: 1 })).length, 1)
      assert.equal(await codeOf(() => operator.jobs.logs('nobody')), 'ERR_JOB_NOT_FOUND')
      assert.equal(await codeOf(() => operator.jobs.logs(job.id, { limit: 0 })), 'ERR_CONFIGURATION')
    },
  },
  {
    promise: 'P7',
    level: 'runtime',
    name: 'the list of workers says what each runs since when, and how many slots are free',
    async run(stage) {
      const [client, operator] = [stage.client(), stage.client()]
      const finish = deferred()
      stage.after(() => finish.resolve())
      const worker = await client.work({ concurrency: 2, handlers: [handle(other, () => finish.promise)] })
      const jobs = await client.enqueueMany(other, [undefined, undefined, undefined])
      await until(async () => (await operator.workers.list())[0]?.jobs.length === 2, 'two running jobs')
      const [seen] = await operator.workers.list()
      assert.deepEqual([seen!.id, seen!.running, seen!.concurrency, seen!.state], [worker.id, 2, 2, 'busy'])
      assert.deepEqual(seen!.queues, [QUEUE])
      assert.deepEqual(seen!.tasks, [other.name])
      for (const running of seen!.jobs) {
        assert.ok(jobs.some(({ id }) => id === running.id))
        assert.deepEqual([running.name, running.attempt, running.suspect], [other.name, 1, false])
        assert.ok(running.since.getTime() <= Date.now())
      }
      assert.ok(seen!.load >= 0 && seen!.load <= 1)
      assert.ok(seen!.loopDelayMs >= 0)
      finish.resolve()
      await Promise.all(jobs.map((job) => job.result()))
      await until(async () => (await operator.workers.list())[0]?.running === 0, 'an idle worker')
      await worker.stop()
      assert.deepEqual(await operator.workers.list(), [])
    },
  },
  {
    promise: 'P7',
    level: 'runtime',
    name: 'the doctor finds what is stuck, says what to do, and finds nothing once it goes on',
    async run(stage) {
      await (await stage.driver()).setup()
      const client = stage.client()
      // How busy this machine is, and how full its disk, is not the case's business.
      const ofMachine = ['worker-overloaded', 'disk-space', 'file-system']
      const problems = async () =>
        (await client.doctor())
          .filter(({ level, code }) => level !== 'ok' && !ofMachine.includes(code))
          .map(({ code, level }) => `${level} ${code}`)
      assert.deepEqual(await problems(), ['warning workers-none'])
      const job = await client.enqueue(other)
      assert.deepEqual(await problems(), ['error queue-unread', 'warning workers-none'])
      await client.queues.pause(QUEUE)
      assert.deepEqual(await problems(), ['warning queue-paused', 'warning workers-none'])
      await client.work({ handlers: [handle(other, () => {})] })
      assert.deepEqual(await problems(), ['warning queue-paused'])
      await client.queues.resume(QUEUE)
      await job.result()
      assert.deepEqual(await problems(), [])
      const findings = await client.doctor({ deep: true })
      for (const { level, message, advice } of findings) {
        assert.equal(advice === undefined, level === 'ok')
        assert.ok(message.length > 0)
      }
      assert.ok(['store', 'queues', 'jobs', 'workers'].every((code) => findings.some((one) => one.code === code)))
    },
  },
])
