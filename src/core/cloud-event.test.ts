import { describe, expect, it } from 'vitest'
import { cloudEventText, messageOf, readMessage } from './cloud-event.js'

const attributes = { id: '1', source: '/shop', type: 'order.paid', time: '2026-01-31T12:00:00.000Z' }

describe('a CloudEvent as text', () => {
  it('has its attributes, its extensions and its data as it was', () => {
    const text = cloudEventText(
      { ...attributes, subject: 'A1', datacontenttype: 'application/json', extensions: { partitionkey: 'p', seq: 3 } },
      { json: '{"n":1}' },
    )
    expect(JSON.parse(text)).toEqual({
      specversion: '1.0',
      ...attributes,
      subject: 'A1',
      datacontenttype: 'application/json',
      partitionkey: 'p',
      seq: 3,
      data: { n: 1 },
    })
    expect(readMessage(text)).toEqual({
      id: '1',
      name: 'order.paid',
      payload: { n: 1 },
      time: new Date(attributes.time),
      source: '/shop',
      subject: 'A1',
      extensions: { partitionkey: 'p', seq: 3 },
    })
  })

  it('carries text, bytes, or nothing', () => {
    expect(readMessage(cloudEventText(attributes, { text: 'a "b"' })).payload).toBe('a "b"')
    expect(readMessage(cloudEventText(attributes, { base64: 'AAH/' })).payload).toEqual(new Uint8Array([0, 1, 255]))
    const bare = readMessage(cloudEventText(attributes, undefined))
    expect([bare.payload, bare.extensions]).toEqual([undefined, undefined])
  })

  it.each([
    ['"text"', /no CloudEvent but no object/],
    ['null', /no CloudEvent but no object/],
    ['{"id":"1","source":"s"}', /no id, source and type/],
    ['{', /The event is no JSON/],
    ['{"id":"1","source":"s","type":"t","data_base64":"%"}', /no base64/],
  ])('%s is refused', (text, message) => expect(() => readMessage(text)).toThrow(message))

  it('without a time has no valid one', () => {
    expect(messageOf({ id: '1', source: 's', type: 't' }).time.getTime()).toBeNaN()
  })
})
