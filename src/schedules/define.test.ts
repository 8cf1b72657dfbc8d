// `schedule`: what it is made of, and what is refused when it is defined.
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { describe, expect, it } from 'vitest'
import type { Rule } from '../core/schedule.js'
import { unchecked } from '../core/schema.js'
import { defineTask, type Task } from '../core/task.js'
import { planOf } from '../worker/define.js'
import { schedule } from './define.js'

const ping = defineTask('ping')
const numbers: StandardSchemaV1<number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => (typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] }),
  },
}
const double = defineTask('double', { input: numbers, queue: 'sums', priority: 7, expires: '1h' })
const slow = defineTask('slow', {
  input: {
    '~standard': { version: 1, vendor: 'test', validate: async (value) => ({ value }) },
  } as StandardSchemaV1<number>,
})
const single = defineTask('single', { input: unchecked<number>(), unique: (n) => `n${n}`, group: () => 'g' })
const daily = { cron: '@daily' } as const

const of = (handler: ReturnType<typeof schedule>) => handler['~schedule']!.definition

describe('a schedule', () => {
  it('of a function has a task and a queue of its own, which nobody enqueues by name', () => {
    const handler = schedule('s', { ...daily, timeout: '1m', retry: false, concurrency: 2 }, () => {})
    expect(of(handler).job).toEqual({ task: 'schedule:s', queue: 'schedule:s', priority: 4, retention: {} })
    expect(handler['~bound']).toMatchObject({
      internal: true,
      options: { concurrency: 2 },
      task: { name: 'schedule:s' },
    })
    expect(handler['~bound']!.task['~spec']).toMatchObject({ timeout: 60_000, retry: { maxAttempts: 1 } })
    expect(of(schedule('s', { ...daily, queue: 'mine' }, () => {})).job.queue).toBe('mine')
  })

  it('of a task carries what the task says, and its input as it travels', () => {
    expect(of(schedule('s', daily, double, 3)).job).toEqual({
      task: 'double',
      queue: 'sums',
      priority: 7,
      expires: 3_600_000,
      retention: {},
      body: '3',
    })
    expect(of(schedule('s', daily, ping)).job.body).toBe('')
    expect(of(schedule('s', daily, single, 3)).job).toMatchObject({
      unique: { key: 'n3', until: 'finished' },
      group: 'g',
    })
  })

  it('of an input function leads to the task', () => {
    expect(of(schedule('s', daily, double, () => 3)).job).toMatchObject({ task: 'schedule:s', leadsTo: 'double' })
  })

  it('may be all that a worker has', async () => {
    const plan = await planOf({ handlers: [schedule('s', daily, ping)] }, {})
    expect([plan.schedules.map(({ name }) => name), plan.queues]).toEqual([['s'], []])
  })
})

describe('what is refused', () => {
  const fn = () => {}
  it.each<[string, () => unknown, RegExp]>([
    ['a name', () => schedule('a b', daily, fn), /The schedule name "a b" is not allowed/],
    ['no rule', () => schedule('s', undefined as never, fn), /schedule\("s"\): The rule is undefined/],
    ['a cron alone', () => schedule('s', '@daily' as never, fn), /The rule is "@daily"\. Give an object/],
    ['a wrong rule', () => schedule('s', { cron: '61 * * * *' }, fn), /schedule\("s"\): cron: "61 \* \* \* \*" is not/],
    [
      'an unknown option',
      () => schedule('s', { ...daily, colour: 1 } as Rule, fn),
      /schedule\("s"\): .*no option "colour"/,
    ],
    [
      'options of a handler on a task',
      () => schedule('s', { ...daily, queue: 'q' } as Rule, ping),
      /no option "queue"/,
    ],
    ['no task', () => schedule('s', daily, 'ping' as never), /task made by defineTask\(\) is expected/],
    ['a wrong count', () => schedule('s', { ...daily, concurrency: 0 }, fn), /concurrency: 0 is no whole number/],
    ['a wrong queue', () => schedule('s', { ...daily, queue: 'a b' }, fn), /queue name "a b"/],
    [
      'an input',
      () => schedule('s', daily, double, 'x' as never),
      /Input of schedule "s" for task "double" does not fit/,
    ],
    ['no input', () => schedule('s', daily, double as Task<any> as Task<void>), /does not fit its schema/],
    ['an input that is no JSON', () => schedule('s', daily, single, 1n as never), /is no JSON value/],
    ['an asynchronous schema', () => schedule('s', daily, slow, 1), /Schedule "s": .*asynchronous/],
    [
      'two claims on one job',
      () => schedule('s', { ...daily, overlap: 'skip' }, single, 1),
      /task "single" has unique keys of its own/,
    ],
    [
      'two claims on the job that a function made the input of',
      () => schedule('s', { ...daily, overlap: 'skip' }, single, () => 1),
      /task "single" has unique keys of its own/,
    ],
  ])('%s', (_what, define, message) => {
    expect(define).toThrow(message)
    expect(define).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_(CONFIGURATION|VALIDATION)$/) }))
  })

  it('two schedules of one name in a worker', async () => {
    const handlers = [schedule('s', daily, ping), schedule('s', daily, fn)]
    await expect(planOf({ handlers }, {})).rejects.toThrow(/schedule "s" is there twice/)
  })
})
