// millrace schedules: what an operator sees of schedules and does to them, on a real worker.
import { join } from 'node:path'
import { connect, defineTask } from 'millrace'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectError, fixture, openPlace, type Place } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
let place: Place
beforeEach(() => (place = openPlace()))
afterEach(() => place[Symbol.asyncDispose]())

const run = (...args: string[]) => place.run(args, { env })
const objects = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const rows = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, '|'))

describe('setup', () => {
  test('declares the schedules and names them', async () => {
    const { code, stdout } = await run('setup', fixture('scheduled.ts'))
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        'sqlite:jobs.db is ready: 3 queues (default, schedule:cleanup, schedule:monthly), 1 task (report), 3 schedules (cleanup, monthly, yearly).\n',
    })
    const [made] = objects((await run('setup', fixture('scheduled.ts'), '--json')).stdout)
    expect(made).toMatchObject({ tasks: ['report'], schedules: ['cleanup', 'monthly', 'yearly'] })
    expect(objects((await run('schedules', 'list', '--json')).stdout)).toHaveLength(3)
  })
})

describe('schedules', () => {
  test('list: none, then those of code and of run time, for people and as JSON', async () => {
    await run('setup', fixture('operated.ts'))
    expect(await run('schedules', 'list')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'There are no schedules yet. A worker or `millrace setup` declares them.\n',
    })
    expect(await run('schedules', 'ls', '--json')).toEqual({ code: 0, stdout: '', stderr: '' })
    await run('setup', fixture('scheduled.ts'))
    const client = await connect(`sqlite:${join(place.dir, 'jobs.db')}`)
    await client.schedules.create('once', { at: new Date(Date.now() + 3_600_000) }, defineTask('report.once'))
    await client.close()
    const listed = rows((await run('schedules', 'list')).stdout)
    expect(listed[0]).toBe('NAME|STATE|RULE|NEXT|LAST|FROM|TASK')
    expect(listed.slice(1)).toEqual([
      expect.stringMatching(/^cleanup\|undeclared\|every 1w\|\s?in \S+\|-\|code\|schedule:cleanup$/),
      expect.stringMatching(/^monthly\|undeclared\|0 3 1 \* \* Europe\/Berlin\|\s?in \S+\|-\|code\|report$/),
      expect.stringMatching(/^once\|ok\|at \S+Z\|\s?in \S+\|-\|runtime\|report\.once$/),
      expect.stringMatching(/^yearly\|undeclared\|0 0 1 1 \*\|\s?in \S+\|-\|code\|report$/),
    ])
    const [cleanup, monthly, once] = objects((await run('schedules', 'list', '--json')).stdout)
    expect(cleanup).toMatchObject({ name: 'cleanup', every: 604_800_000, live: false, paused: false, from: 'code' })
    expect(monthly).toMatchObject({ cron: '0 3 1 * *', timezone: 'Europe/Berlin', queue: 'schedule:monthly' })
    expect(once).toMatchObject({ live: true, from: 'runtime', at: expect.stringMatching(/Z$/) })
    expect((await run('doctor')).stdout).toMatch(
      /^warning +schedule-undeclared\n +No live worker declares schedule "cleanup"/m,
    )
  })

  test('trigger, pause, resume and remove', async () => {
    const worker = place.start(['work', fixture('scheduled.ts')], { env })
    await worker.until(/Worker started\./)
    const triggered = await run('schedules', 'trigger', 'monthly')
    expect(triggered.stdout).toMatch(/^schedule\/monthly\/trigger\/[0-9a-f-]{36}\n$/)
    await worker.until(/Reported\. .*month=\d{4}-\d\d/)
    const [job] = objects((await run('schedules', 'trigger', 'cleanup', '--json')).stdout)
    expect(job).toEqual({
      name: 'cleanup',
      id: expect.stringMatching(/^schedule\/cleanup\/trigger\//),
      duplicate: false,
    })
    await worker.until(/Cleaned\./)

    expect((await run('schedules', 'pause', 'yearly')).stdout).toBe('Paused yearly.\n')
    expect(rows((await run('schedules', 'list')).stdout)[3]).toMatch(/^yearly\|paused\|/)
    expect(objects((await run('schedules', 'resume', 'yearly', '--json')).stdout)).toEqual([
      { name: 'yearly', paused: false },
    ])
    expect(rows((await run('schedules', 'list')).stdout)[3]).toMatch(/^yearly\|ok\|/)

    expectError(await run('schedules', 'remove', 'yearly'), { code: 2, text: /Refusing to remove schedule "yearly"/ })
    expectError(await run('schedules', 'remove', 'yearly', '--yes'), { code: 2, text: /code of a live worker/ })
    worker.child.kill('SIGTERM')
    expect((await worker.end).code).toBe(0)
    expect((await run('schedules', 'remove', 'yearly', '--yes')).stdout).toBe('Removed yearly.\n')
    expectError(await run('schedules', 'pause', 'yearly'), {
      code: 2,
      text: /no schedule "yearly"\. There are: cleanup, monthly\./,
    })
  })

  test('a job that has not finished is named by the next trigger', async () => {
    await run('setup', fixture('scheduled.ts'))
    const first = await run('schedules', 'trigger', 'yearly')
    expect(await run('schedules', 'trigger', 'yearly')).toEqual({
      code: 0,
      stdout: first.stdout,
      stderr: 'An earlier job of yearly has not finished, so none was enqueued.\n',
    })
  })
})
