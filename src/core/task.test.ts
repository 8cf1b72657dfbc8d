// Tests of task and queue definitions: the defaults, each option, and what is refused where it is written.
import { describe, expect, it } from 'vitest'
import { type } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import { ConfigurationError, ValidationError } from './errors.js'
import { fixed, DEFAULT_RETRY } from './retry.js'
import { unchecked } from './schema.js'
import * as tasks from './task.js'
import {
  defineQueue,
  defineTask,
  keepMs,
  queueName,
  refuseUnknown,
  specOf,
  uniqueClaim,
  type TaskSpec,
} from './task.js'

const DEFAULTS: TaskSpec = {
  input: undefined,
  output: undefined,
  queue: 'default',
  priority: 4,
  retry: DEFAULT_RETRY,
  timeout: 600_000,
  expires: undefined,
  retention: {},
  unique: undefined,
  group: undefined,
}

/** The message with which an option that is wrong in JavaScript is refused. */
function refused(options: object, kind: new (...args: never[]) => Error = ConfigurationError): string {
  try {
    defineTask('mail.send', options)
  } catch (error) {
    expect(error).toBeInstanceOf(kind)
    return (error as Error).message
  }
  throw new Error('it was taken')
}

describe('defineTask', () => {
  it('fills in every default', () => {
    expect(defineTask('greet')).toStrictEqual({ kind: 'task', name: 'greet', '~spec': DEFAULTS })
    expect([tasks.DEFAULT_QUEUE, tasks.DEFAULT_TIMEOUT]).toEqual(['default', 600_000])
  })

  it('keeps every option, times in milliseconds', () => {
    const input = z.object({ to: z.string() })
    const output = v.string()
    const unique = (o: { to: string }) => o.to
    const group = () => 'tenant'
    const backoff = fixed('1s')
    const task = defineTask('mail.send', {
      input,
      output,
      queue: defineQueue('mail'),
      priority: 9,
      retry: { maxAttempts: 3, backoff },
      timeout: '1m',
      expires: '2h',
      retention: { completed: '1h', dead: '1d' },
      unique,
      group,
    })
    expect(task.name).toBe('mail.send')
    expect(specOf(task)).toStrictEqual({
      input,
      output,
      queue: 'mail',
      priority: 9,
      retry: { maxAttempts: 3, backoff },
      timeout: 60_000,
      expires: 7_200_000,
      retention: { completed: 3_600_000, dead: 86_400_000 },
      unique,
      group,
    })
  })

  it('takes schemas of zod, valibot and arktype, and unchecked ones', () => {
    for (const input of [z.string(), v.string(), type('string'), unchecked<string>()])
      expect(specOf(defineTask('x', { input })).input).toBe(input)
  })

  it('takes false for no retry and no timeout', () => {
    expect(specOf(defineTask('x', { retry: false, timeout: false }))).toMatchObject({
      retry: { maxAttempts: 1 },
      timeout: false,
    })
  })

  it.each(['on:receipts', 'schedule:nightly'])(
    'refuses the name %s, which is that of a subscription or schedule',
    (name) => expect(() => defineTask(name)).toThrow(/are those of subscriptions and schedules/),
  )

  it('refuses a name that is not allowed', () => {
    expect(() => defineTask('send mail')).toThrow(ConfigurationError)
    expect(() => defineTask('send mail')).toThrow(/^The task name "send mail" is not allowed\./)
  })

  it('refuses an option that does not exist and lists those that do', () => {
    expect(refused({ timeOut: 5 })).toBe(
      'defineTask("mail.send"): there is no option "timeOut". The options are: input, output, queue, priority, retry, timeout, expires, retention, unique, group.',
    )
  })

  it.each([
    [
      { input: { parse: () => 1 } },
      /^input: an? object is no Standard Schema\. Use one of zod, valibot or arktype, or unchecked<T>\(\)\.$/,
    ],
    [{ output: { '~standard': { validate: 'no' } } }, /^output: an? object is no Standard Schema\./],
    [{ input: null }, /^input: null is no Standard Schema\./],
    [{ input: [1] }, /^input: an array is no Standard Schema\./],
    [{ output: 'string' }, /^output: a string is no Standard Schema\./],
    [{ queue: 'a b' }, /^The queue name "a b" is not allowed\./],
    [{ queue: '' }, /^The queue name "" is not allowed\./],
    [{ priority: 10 }, /^priority: 10 is no whole number from 0 \(last\) to 9 \(first\)\.$/],
    [{ priority: -1 }, /^priority: -1 is no whole number/],
    [{ priority: 4.5 }, /^priority: 4\.5 is no whole number/],
    [{ priority: '5' }, /^priority: 5 is no whole number/],
    [{ retry: { maxAttempts: 0 } }, /^retry\.maxAttempts: 0 is no whole number of 1 or more\.$/],
    [{ timeout: 'soon' }, /^timeout: "soon" is no duration\./],
    [{ timeout: 0 }, /^timeout: 0 ms is not between 1 ms and 24 days; `false` means no timeout\.$/],
    [{ timeout: 2 ** 31 }, /^timeout: 2147483648 ms is not between/],
    [{ timeout: true }, /^timeout: true is no duration\./],
    [{ expires: '1y' }, /^expires: "1y" is no duration\./],
    [{ expires: false }, /^expires: false is no duration\./],
    [{ retention: { completed: -1 } }, /^retention\.completed: -1 is no duration\./],
    [{ retention: { dead: 'ever' } }, /^retention\.dead: "ever" is no duration\./],
  ])('refuses %o and names the task', (options, message) => {
    const full = refused(options)
    expect(full.startsWith('defineTask("mail.send"): ')).toBe(true)
    expect(full.slice('defineTask("mail.send"): '.length)).toMatch(message)
  })

  it('keeps the first error as the cause', () => {
    const define = (): unknown => defineTask('x', { timeout: 'soon' as '1s' })
    expect(define).toThrow(
      expect.objectContaining({
        cause: expect.objectContaining({ message: expect.stringMatching(/^timeout: "soon"/) }),
      }),
    )
  })

  it('passes on what an option itself throws', () => {
    const options = {
      get timeout(): number {
        throw new RangeError('mine')
      },
    }
    expect(refused(options, RangeError)).toBe('mine')
  })

  it('takes the longest timeout that a timer of Node holds, and every priority', () => {
    expect(specOf(defineTask('x', { timeout: 2 ** 31 - 1 })).timeout).toBe(2_147_483_647)
    expect(specOf(defineTask('x', { timeout: 1 })).timeout).toBe(1)
    for (const priority of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const)
      expect(specOf(defineTask('x', { priority })).priority).toBe(priority)
  })

  it.each([{ unique: 'id' }, { group: 'tenant' }, { retention: { complete: '1d' } }, { retry: { attempts: 3 } }])(
    'refuses %o',
    (options) => {
      expect(refused(options)).toMatch(/^defineTask\("mail\.send"\): /)
    },
  )
})

describe('queues', () => {
  it('are defined by a name', () => {
    expect(defineQueue('mail')).toStrictEqual({ kind: 'queue', name: 'mail' })
    expect(() => defineQueue('')).toThrow(/^The queue name "" is not allowed\./)
  })

  it('are given as a name or a definition', () => {
    expect(queueName('mail')).toBe('mail')
    expect(queueName({ kind: 'queue', name: 'mail' })).toBe('mail')
    expect(() => queueName({} as never)).toThrow(/^The queue name undefined is not allowed\./)
  })
})

describe('specOf', () => {
  it('has the defaults for a bare task', () => {
    expect(specOf({ kind: 'task', name: 'x' })).toStrictEqual(DEFAULTS)
  })

  it('gives the options as they were filled in', () => {
    const task = defineTask('x')
    expect(specOf(task)).toBe(task['~spec'])
  })

  it.each([
    [undefined, /an? undefined/],
    [null, /null/],
    ['greet', /the text "greet"/],
    [[], /an array/],
    [{ name: 'x' }, /an? object/],
    [{ kind: 'task' }, /an? object/],
    [{ kind: 'queue', name: 'x' }, /an? object/],
  ])('refuses %o', (task, shown) => {
    const ask = (): unknown => specOf(task as never)
    expect(ask).toThrow(ConfigurationError)
    expect(ask).toThrow(
      new RegExp(`^A task made by defineTask\\(\\) is expected, not ${shown.source}\\. Import the task,`),
    )
  })
})

describe('uniqueClaim', () => {
  it('holds the key until the job has finished unless told otherwise', () => {
    expect(uniqueClaim('k')).toStrictEqual({ key: 'k', until: 'finished' })
    expect(uniqueClaim({ key: 'k' })).toStrictEqual({ key: 'k', until: 'finished' })
    expect(uniqueClaim({ key: 'k', until: 'finished' })).toStrictEqual({ key: 'k', until: 'finished' })
    expect(uniqueClaim({ key: 'k', until: 'started' })).toStrictEqual({ key: 'k', until: 'started' })
    expect(uniqueClaim({ key: 'k', until: '5m' })).toStrictEqual({ key: 'k', until: 300_000 })
    expect(uniqueClaim({ key: 'k', until: 0 })).toStrictEqual({ key: 'k', until: 0 })
  })

  it('refuses keys that are not allowed and times that are none', () => {
    expect(() => uniqueClaim('')).toThrow(ValidationError)
    expect(() => uniqueClaim({} as never)).toThrow(/^The unique key undefined is not allowed\./)
    expect(() => uniqueClaim({ key: 'k', until: 'ended' as 'started' })).toThrow(
      /^unique\.until: "ended" is no duration\./,
    )
  })

  it.each([undefined, null])('refuses %o', (unique) => {
    expect(() => uniqueClaim(unique as never)).toThrow(ValidationError)
  })
})

describe('keepMs', () => {
  it('gives the parts that were given', () => {
    expect(keepMs(undefined)).toStrictEqual({})
    expect(keepMs({})).toStrictEqual({})
    expect(keepMs({ completed: 0 })).toStrictEqual({ completed: 0 })
    expect(keepMs({ dead: '1w' })).toStrictEqual({ dead: 604_800_000 })
  })
})

describe('refuseUnknown', () => {
  it('takes known options and names the first stray one', () => {
    expect(refuseUnknown('work()', { b: 1, a: undefined }, ['a', 'b', 'c'])).toBe(undefined)
    expect(() => refuseUnknown('work()', { a: 1, x: undefined, y: 1 }, ['a', 'b'])).toThrow(
      /^work\(\): there is no option "x"\. The options are: a, b\.$/,
    )
  })
})
