// millrace publish, events and subscriptions: one event's way as an operator sees it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expectError, fixture, openPlace, type Place } from './cli.js'

const env = { MILLRACE_URL: 'sqlite:jobs.db' }
let place: Place
beforeEach(async () => {
  place = openPlace()
  await place.run(['setup', fixture('shop.ts')], { env })
})
afterEach(() => place[Symbol.asyncDispose]())

const run = (...args: string[]) => place.run(args, { env })
const squeezed = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, '|').trim())
const objects = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const PAYLOAD = '{"order":"A1"}'

async function stateOf(id: string): Promise<unknown> {
  const shown = await run('jobs', 'show', id, '--json')
  return shown.code === 0 ? objects(shown.stdout)[0]?.['state'] : undefined
}

describe('setup', () => {
  test('declares subscriptions and says so; what waits for a worker is kept', async () => {
    const told = await run('setup', fixture('shop.ts'))
    expect(told.stdout).toMatch(
      /, 1 task \(report\), 4 subscriptions \(receipts, audit, broken, order\.paid:report\)\.\n$/,
    )
    expect(squeezed((await run('events', 'list')).stdout)).toEqual([
      'EVENT|SUBSCRIPTIONS|TASKS',
      'order.item.shipped|audit|-',
      'order.paid|audit, broken, receipts|report',
    ])
    expect(objects((await run('events', 'ls', '--json')).stdout)[1]).toEqual({
      name: 'order.paid',
      subscriptions: ['audit', 'broken', 'receipts'],
      tasks: ['report'],
    })
  })
})

describe('publish', () => {
  test('checks the payload, keeps the event once, and says when nobody knows it', async () => {
    expectError(await run('publish', 'order.paid', '{"order":7}'), {
      code: 2,
      text: /Payload of event "order\.paid" does not fit its schema\. .*\$\.order/,
    })
    expectError(await run('publish', 'order.paid'), { code: 2, text: /a payload is expected/ })
    expectError(await run('publish', 'order.item.shipped', '{}'), { code: 2, text: /nothing is expected here/ })
    expectError(await run('publish', 'order.paid', '{order'), { code: 2, text: /The payload is no JSON/ })
    expectError(await run('publish', 'order paid', '{}'), { code: 2, text: /The event name "order paid"/ })
    expect(await run('publish', 'order.paid', PAYLOAD, '--id', 'e1')).toEqual({ code: 0, stdout: 'e1\n', stderr: '' })
    const again = await place.run(['publish', 'order.paid', '-', '--id', 'e1'], { env, input: PAYLOAD })
    expect(again).toEqual({ code: 0, stdout: 'e1\n', stderr: 'duplicate: event e1 was published before\n' })
    expect(objects((await run('publish', 'order.paid', PAYLOAD, '--id', 'e1', '--json')).stdout)).toEqual([
      { id: 'e1', duplicate: true },
    ])
    const unknown = await run('publish', 'nobody.knows', '[1]', '--subject', 'x')
    expect([unknown.code, unknown.stderr]).toEqual([
      0,
      'note: no worker has told of an event "nobody.knows", so its payload is not checked.\n',
    ])
  })
})

describe('an event', () => {
  test('goes its way: copies, a task, one that dies, and a replay to that one alone', async () => {
    await run('publish', 'order.paid', PAYLOAD, '--id', 'e1')
    const waiting = squeezed((await run('subscriptions', 'list')).stdout)
    expect(waiting[0]).toBe('NAME|STATE|READY|SCHEDULED|RETRYING|ACTIVE|DEAD|TASK|EVENTS')
    expect(waiting).toContain('audit|no worker|1|0|0|0|0|-|order.#')
    expect(waiting).toContain('order.paid:report|no worker|1|0|0|0|0|report|order.paid')
    const worker = place.start(['work', fixture('shop.ts')], { env })
    await worker.until(/The job is dead/)
    while ((await stateOf('e1/task/report')) !== 'completed') continue
    expect(await stateOf('e1/audit')).toBe('completed')
    expect(await stateOf('e1/broken')).toBe('dead')
    expect(existsSync(join(place.dir, 'receipt-A1'))).toBe(true)
    const replayed = await run('events', 'replay', 'broken', '--since', '1h', '--event', 'order.paid')
    expect(replayed).toEqual({ code: 0, stdout: 'Sent 1 event to broken once more.\n', stderr: '' })
    await worker.until(/The job is dead[^]*The job is dead/)
    const copies = objects((await run('jobs', 'list', '--json')).stdout).map(({ id }) => id)
    expect(copies.filter((id) => String(id).startsWith('e1/broken'))).toHaveLength(2)
    expect(copies).toHaveLength(6)
    expectError(await run('subscriptions', 'remove', 'audit', '--yes'), { code: 2, text: /is in the code of worker/ })
    worker.child.kill('SIGTERM')
    expect((await worker.end).code).toBe(0)
  })

  test('is shown by tail: what the log has, and what comes', async () => {
    await run('publish', 'order.paid', PAYLOAD, '--id', 'e1')
    await run('publish', 'shop.closed', '--id', 'e2', '--subject', 'Oxford Street')
    const all = (await run('events', 'tail', '--since', '1h', '--no-follow')).stdout.split('\n')
    expect(all[0]).toMatch(/^\S+Z {2}order\.paid {2}e1 {2}\{"order":"A1"\}$/)
    expect(all[1]).toMatch(/ {2}shop\.closed {2}e2 {2}about Oxford Street$/)
    await run('publish', 'shop.closed', '--subject', '\u001b[2Jone\ntwo')
    const hostile = (await run('events', 'tail', '--since', '1h', '--no-follow')).stdout.trim().split('\n')
    expect(hostile.length).toBe(3)
    expect(hostile[2]).toMatch(/about one two$/)
    const [one, ...others] = objects(
      (await run('events', 'tail', 'order.#', '--since', '1h', '--no-follow', '--json')).stdout,
    )
    expect([one, others]).toMatchObject([{ n: 1, name: 'order.paid', id: 'e1', payload: { order: 'A1' } }, []])
    const tail = place.start(['events', 'tail'], { env })
    await tail.until(/Waiting for events/)
    await run('publish', 'order.paid', PAYLOAD, '--id', 'e3')
    await tail.until(/order\.paid {2}e3/)
    tail.child.kill('SIGINT')
    const { code, stdout } = await tail.end
    expect([code, stdout.includes('e1')]).toEqual([0, false])
  })
})

describe('subscriptions', () => {
  test('pause, resume and remove', async () => {
    expect((await run('subscriptions', 'pause', 'audit')).stdout).toBe('Paused audit.\n')
    expect(squeezed((await run('subscriptions', 'ls')).stdout)[1]).toBe('audit|paused|0|0|0|0|0|-|order.#')
    expect(objects((await run('subscriptions', 'resume', 'audit', '--json')).stdout)).toEqual([
      { name: 'audit', paused: false },
    ])
    await run('publish', 'order.paid', PAYLOAD)
    expectError(await run('subscriptions', 'remove', 'audit'), { code: 2, text: /Add --yes/ })
    expect((await run('subscriptions', 'remove', 'audit', '--yes')).stdout).toBe(
      'Removed audit; 1 waiting job deleted.\n',
    )
    for (const verb of ['pause', 'resume', 'remove'])
      expectError(await run('subscriptions', verb, 'audit', ...(verb === 'remove' ? ['--yes'] : [])), {
        code: 2,
        text: /There is no subscription "audit"\. There are: broken, order\.paid:report, receipts\./,
      })
    expectError(await run('events', 'replay', 'audit', '--since', '1h'), { code: 2, text: /There is no subscription/ })
    expectError(await run('events', 'replay', 'broken'), { code: 2, text: /--since/ })
  })

  test('that no worker declares are told by the doctor', async () => {
    const { stdout } = await run('doctor', '--json')
    expect(objects(stdout).find(({ code }) => code === 'subscription-undeclared')).toMatchObject({
      level: 'warning',
      message: expect.stringContaining(
        '4 subscriptions without a live worker (audit, broken, order.paid:report, receipts)',
      ),
    })
  })
})
