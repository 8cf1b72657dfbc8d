import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  checkEvent,
  checkEventId,
  checkEventName,
  checkSubscriberName,
  defineEvent,
  subscriptionTask,
} from './event.js'

describe('defineEvent', () => {
  it('keeps the name and the schema as they were given', () => {
    const payload = z.object({ id: z.string() })
    expect(defineEvent('order.paid', { payload })).toEqual({ kind: 'event', name: 'order.paid', '~payload': payload })
    expect(defineEvent('tick')).toEqual({ kind: 'event', name: 'tick' })
  })

  it.each([
    '',
    'order paid',
    'order..paid',
    '.paid',
    'order.',
    'order.*',
    'order.#',
    'a:b',
    'x'.repeat(201),
    7 as never,
  ])('refuses the name %s', (name) =>
    expect(() => defineEvent(name)).toThrow(/The event name .* is not allowed.*for example "order\.paid"/),
  )

  it('refuses options that are none, and a payload that is no schema', () => {
    expect(() => defineEvent('a', { schema: z.string() } as never)).toThrow(/no option "schema"/)
    expect(() => defineEvent('a', { payload: 'text' as never })).toThrow(
      /defineEvent\("a"\): payload.*no Standard Schema/,
    )
  })
})

describe('names and ids', () => {
  it('have stated lengths', () => {
    expect(checkEventName('x'.repeat(200))).toHaveLength(200)
    expect(checkEventId('x'.repeat(80))).toHaveLength(80)
    expect(() => checkEventId('x'.repeat(81))).toThrow(/81 characters, and 80 are allowed/)
    expect(() => checkEventId('a\nb')).toThrow(/The event id/)
    expect(checkSubscriberName('subscription', 'send-receipt')).toBe('send-receipt')
    for (const wrong of ['', '-a', 'a b', 'a/b', 'x'.repeat(81), undefined])
      expect(() => checkSubscriberName('schedule', wrong)).toThrow(/The schedule name .* is not allowed/)
    expect(subscriptionTask('send-receipt')).toBe('on:send-receipt')
  })

  it('checkEvent takes what defineEvent made, and tells what it got instead', () => {
    const event = defineEvent('a')
    expect(checkEvent(event)).toBe(event)
    for (const wrong of ['a', undefined, { kind: 'task', name: 'a' }, { kind: 'event' }])
      expect(() => checkEvent(wrong as never)).toThrow(/An event made by defineEvent\(\) is expected/)
  })
})
