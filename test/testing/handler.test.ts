// `runHandler`: what travels is checked on both sides, the context has defaults, and errors come out as they were thrown.
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { defineTask, handle, unchecked, type Context } from '../../src/index.js'
import { createTestClient, runHandler } from '../../src/testing/index.js'

const mail = defineTask('mail', { input: z.object({ to: z.string() }) })
const parse = defineTask('parse', {
  input: z.object({ n: z.string().transform(Number), d: z.number().default(3) }),
  output: z.object({ when: z.iso.datetime().transform((text) => new Date(text)) }),
  queue: 'parsers',
  group: ({ n }) => `group ${n}`,
})
const WHEN = '2026-01-01T00:00:00Z'

/** The context that a handler of `parse` gets. */
async function contextWith(ctx: Parameters<typeof runHandler>[2]): Promise<Context> {
  let seen: Context | undefined
  const handler = handle(parse, (_, context) => {
    seen = context
    return { when: WHEN }
  })
  await runHandler(handler, { n: '1' }, ctx)
  return seen!
}

describe('input and output', () => {
  it('are parsed by the side that receives them', async () => {
    const fn = vi.fn<(input: unknown, ctx: unknown) => { when: string }>(() => ({ when: WHEN }))
    expect(await runHandler(handle(parse, fn), { n: '7' })).toEqual({ when: new Date(WHEN) })
    expect(fn).toHaveBeenCalledWith({ n: 7, d: 3 }, expect.anything())
  })

  it('are refused where they could not travel, and then the handler did not run', async () => {
    const fn = vi.fn<(input: unknown, ctx: unknown) => { when: string }>(() => ({ when: WHEN }))
    const handler = handle(parse, fn)
    await expect(runHandler(handler, { n: 1 as unknown as string })).rejects.toMatchObject({
      code: 'ERR_VALIDATION',
      issues: [{ path: '$.n' }],
    })
    const any = defineTask('any', { input: unchecked<{ at: string }>(), output: unchecked<string>() })
    const echo = handle(any, fn as never)
    await expect(runHandler(echo, { at: new Date() as unknown as string })).rejects.toThrow(/no JSON value: \$\.at/)
    await expect(runHandler(echo, { at: 'x'.repeat(2 ** 20) })).rejects.toMatchObject({ code: 'ERR_PAYLOAD_TOO_LARGE' })
    expect(fn).not.toHaveBeenCalled()
    fn.mockReturnValue({ when: 'yesterday' })
    await expect(runHandler(handler, { n: '1' })).rejects.toThrow(/Result of task "parse" does not fit/)
  })

  it('are nothing where the task has none', async () => {
    const ping = handle(defineTask('ping'), (input) => expect(input).toBeUndefined() as unknown as void)
    expect(await runHandler(ping, undefined)).toBeUndefined()
  })
})

describe('errors', () => {
  it('are the very ones that the handler threw', async () => {
    const error = new TypeError('mine')
    const failing = handle(mail, () => Promise.reject(error))
    await expect(runHandler(failing, { to: 'ada' })).rejects.toBe(error)
  })

  it('a handler that outlasts its timeout is aborted', async () => {
    const slow = defineTask('slow', { timeout: 1 })
    let reason: unknown
    const handler = handle(slow, (_, { signal }) => {
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason
          resolve()
        })
      })
    })
    await expect(runHandler(handler, undefined)).rejects.toMatchObject({ code: 'ERR_JOB_TIMEOUT' })
    expect(reason).toMatchObject({ code: 'ERR_JOB_TIMEOUT' })
  })

  it('what is no handler, and parts that are not there, are refused', async () => {
    await expect(runHandler(mail as never, {} as never)).rejects.toThrow(/no handler/)
    await expect(contextWith({ jobs: {} } as never)).rejects.toThrow(/no option "jobs"/)
    await expect(contextWith({ job: { tries: 1 } } as never)).rejects.toThrow(/no option "tries"/)
  })
})

describe('the context', () => {
  it('is that of a first attempt', async () => {
    const ctx = await contextWith({})
    expect(ctx.job).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      name: 'parse',
      queue: 'parsers',
      group: 'group 1',
      attempt: 1,
      maxAttempts: 10,
      crashes: 0,
      enqueuedAt: expect.any(Date),
      deadline: expect.any(Date),
      headers: {},
    })
    expect([ctx.signal.aborted, ctx.stopping.aborted]).toEqual([false, false])
    ctx.log.error('nobody sees this')
    await ctx.progress(0.5, 'half')
    await expect(ctx.progress(2)).rejects.toThrow(/from 0 to 1/)
  })

  it('has the parts that it was given', async () => {
    const signal = AbortSignal.abort()
    const progress = vi.fn<() => Promise<void>>(async () => {})
    const ctx = await contextWith({ job: { attempt: 4, headers: { a: 'b' } }, signal, progress })
    expect(ctx.job).toMatchObject({ name: 'parse', attempt: 4, headers: { a: 'b' } })
    expect([ctx.signal, ctx.progress]).toEqual([signal, progress])
  })

  it('enqueues nothing unless it was told how', async () => {
    const enqueues = handle(defineTask('parent'), async (_, ctx) => {
      await ctx.enqueue(mail, { to: 'ada' })
      await ctx.enqueueMany(mail, [{ to: 'bob' }])
    })
    await expect(runHandler(enqueues, undefined)).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      message: expect.stringContaining('createTestClient()'),
    })
    await using t = createTestClient()
    await runHandler(enqueues, undefined, { enqueue: t.enqueue, enqueueMany: t.enqueueMany })
    expect(t.enqueued(mail).map(({ input }) => input.to)).toEqual(['ada', 'bob'])
  })
})
