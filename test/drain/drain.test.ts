// Moving jobs between stores: every job arrives once, whatever ends the run, and whoever works meanwhile.
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { giveBackHeld } from '../../src/client/drain.js'
import { connect, type Client } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { drain, driversOf } from '../../src/drain.js'
import { unchecked } from '../../src/core/schema.js'
import { SILENT } from '../../src/testing/conformance/stage.js'
import { handle } from '../../src/worker/define.js'
import { bareMemory } from '../support/bare.js'
import { useFolder } from '../support/folder.js'
import { startNode } from '../support/process.js'

const folder = useFolder()
const opened: Client[] = []
afterEach(() => Promise.all(opened.splice(0).map((client) => client.close({ grace: 0 }))))
async function open(name: string, o: { namespace?: string } = {}): Promise<Client> {
  const client = await connect(name.includes(':') ? name : `sqlite:${join(folder(), name)}`, { log: SILENT, ...o })
  opened.push(client)
  return client
}

const mail = defineTask('mail', { queue: 'mail', input: unchecked<number>() })
const report = defineTask('report', { queue: 'reports', input: unchecked<number>() })
const HOUR = 3_600_000

/** 1,000 jobs: at once, delayed, of all priorities, and with unique keys. */
async function fill(client: Client): Promise<string[]> {
  const numbers = Array.from({ length: 250 }, (_, n) => n)
  const jobs = [
    ...(await client.enqueueMany(mail, numbers)),
    ...(await client.enqueueMany(report, numbers, { delay: '1h' })),
    ...(await Promise.all(numbers.map((n) => client.enqueue(mail, n, { priority: (n % 10) as 0 })))),
    ...(await Promise.all(numbers.map((n) => client.enqueue(report, n, { unique: `key-${n}` })))),
  ]
  return jobs.map((job) => job.id).sort()
}

async function idsOf(client: Client): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await client.jobs.list({ limit: 1000, ...(cursor !== undefined && { cursor }) })
    ids.push(...page.jobs.map((job) => job.id))
    cursor = page.cursor
  } while (cursor !== undefined)
  return ids.sort()
}

describe.each([['memory:'], ['old.db']])('from %s', (source) => {
  it('all that waits arrives under its id, with its delay, priority and key', async () => {
    const [from, to] = [await open(source), await open('new.db')]
    const ids = await fill(from)
    const marked = await from.enqueue(mail, 7, {
      priority: 9,
      delay: '2h',
      unique: 'marked',
      group: 'g',
      headers: { a: 'b' },
    })
    const progress: number[] = []
    const drained = await drain({ from, to, onProgress: ({ moved }) => progress.push(moved) })
    expect(drained).toMatchObject({ moved: 1001, refused: 0, stopped: false })
    expect(drained.left.every(({ waiting, held }) => waiting + held === 0)).toBe(true)
    expect(progress.at(-1)).toBe(1001)
    expect(await idsOf(to)).toEqual([...ids, marked.id].sort())
    expect(await idsOf(from)).toEqual([])
    const job = (await to.jobs.get(marked.id))!
    expect(job).toMatchObject({ name: 'mail', queue: 'mail', priority: 9, group: 'g', state: 'scheduled' })
    expect(job.dueAt.getTime() - job.enqueuedAt.getTime()).toBe(2 * HOUR)
    expect(await to.queues.stats('reports')).toMatchObject({ ready: 250, scheduled: 250 })
    expect((await to.enqueue(mail, 8, { unique: 'marked' })).id).toBe(marked.id)
    // The key is free again at the source.
    expect((await from.enqueue(mail, 8, { unique: 'marked' })).duplicate).toBe(false)
  })
})

describe('a run that is killed', () => {
  it('three times, between any two steps: the next ones bring every job over once', async () => {
    const [from, to] = [await open('old.db'), await open('new.db')]
    const ids = await fill(from)
    const run = (...stop: string[]) =>
      startNode([
        join(import.meta.dirname, 'programs/drain.mjs'),
        `sqlite:${join(folder(), 'old.db')}`,
        `sqlite:${join(folder(), 'new.db')}`,
        ...stop,
      ])
    for (const stop of ['published', 'held', 'gone']) {
      const killed = run(stop, '2')
      await killed.line(/stopped/)
      killed.process.kill('SIGKILL')
      await killed.ended
      if (stop === 'published') {
        // What has arrived runs there, is no more to be found here, and is not published anew.
        await to.work({ handlers: [handle(mail, () => {})] })
        expect(await from.jobs.list({ queue: 'held/mail' })).toMatchObject({ jobs: { length: 50 } })
      }
    }
    expect(await idsOf(from)).not.toEqual([])
    const last = run()
    await last.line(/^moved/)
    expect(await last.ended).toBe(0)
    expect(await idsOf(to)).toEqual(ids)
    expect(await idsOf(from)).toEqual([])
  }, 60_000)
})

describe('while others are at work', () => {
  it('two runs at once, and workers at both ends: every job runs once', async () => {
    const [from, to] = [await open('old.db'), await open('new.db')]
    const [alsoFrom, alsoTo] = [await open('old.db'), await open('new.db')]
    const ids = [
      ...(await from.enqueueMany(
        mail,
        Array.from({ length: 1000 }, (_, n) => n),
      )),
    ].map((job) => job.id)
    const ran: string[] = []
    const handlers = [handle(mail, (_, ctx) => void ran.push(ctx.job.id))]
    // The source's worker must not be done before the drains have begun.
    let begin!: () => void
    const begun = new Promise<void>((resolve) => (begin = resolve))
    await from.work({
      concurrency: 2,
      handlers: [
        handle(mail, async (_, ctx) => {
          await begun
          ran.push(ctx.job.id)
        }),
      ],
    })
    await to.work({ concurrency: 2, handlers })
    const runs = await Promise.all([
      drain({ from, to, onProgress: () => begin() }),
      drain({ from: alsoFrom, to: alsoTo, onProgress: () => begin() }),
    ])
    expect(runs.map((one) => one.refused)).toEqual([0, 0])
    expect(runs[0].moved + runs[1].moved).toBeGreaterThan(0)
    await expect
      .poll(async () => (await to.jobs.list({ states: ['ready', 'active'] })).jobs.length, { timeout: 15_000 })
      .toBe(0)
    await expect
      .poll(async () => (await from.jobs.list({ states: ['ready', 'active'] })).jobs.length, { timeout: 15_000 })
      .toBe(0)
    expect(ran.sort()).toEqual(ids.sort())
  }, 60_000)

  it('a running job ends where it is; dead ones stay', async () => {
    const [from, to] = [await open('old.db'), await open('new.db')]
    const broken = defineTask('broken', { queue: 'mail', retry: false })
    let begun!: () => void
    let finish!: () => void
    const started = new Promise<void>((resolve) => (begun = resolve))
    const finished = new Promise<void>((resolve) => (finish = resolve))
    const worker = await from.work({
      concurrency: 1,
      handlers: [
        handle(mail, async () => {
          begun()
          await finished
        }),
        handle(broken, () => {
          throw new Error('on purpose')
        }),
      ],
    })
    const dead = await from.enqueue(broken)
    await expect(dead.result()).rejects.toMatchObject({ code: 'ERR_JOB_FAILED' })
    const running = await from.enqueue(mail, 1)
    await started
    const waiting = await from.enqueue(mail, 2)
    const { moved, left } = await drain({ from, to })
    expect({ moved, left }).toEqual({
      moved: 1,
      left: [{ queue: 'mail', waiting: 0, held: 0, active: 1, dead: 1 }],
    })
    finish()
    await running.result()
    await worker.stop()
    expect(await idsOf(to)).toEqual([waiting.id])
  })
})

describe('a broker that remembers nothing', () => {
  async function bare(name: string): Promise<Client> {
    const client = await connect(bareMemory({ name: `${folder()}/${name}` }), { log: SILENT })
    opened.push(client)
    return client
  }

  it('hands over what is ready, keeps what is delayed, and tells nobody that it has ended', async () => {
    const [from, to] = [await bare('old'), await open('new.db')]
    const numbers = Array.from({ length: 300 }, (_, n) => n)
    const jobs = await from.enqueueMany(mail, numbers)
    const asked = await from.enqueue(mail, 300, { priority: 8, reply: true })
    const result = asked.result({ timeout: '1s' }).catch((error: unknown) => error)
    await from.enqueue(mail, 301, { delay: '1h' })
    const drained = await drain({ from, to })
    expect(drained).toMatchObject({ moved: 301, refused: 0 })
    expect(await idsOf(to)).toEqual([...jobs.map((job) => job.id), asked.id].sort())
    expect((await from.queues.stats('mail')).ready).toBe(0)
    expect((await to.jobs.get(asked.id))?.headers).toEqual({})
    expect(await result).toMatchObject({ code: 'ERR_RESULT_TIMEOUT' })
  })

  it('takes what it can keep; a job that is refused goes back to where it was', async () => {
    const [from, to] = [await open('old.db'), await bare('new')]
    await from.enqueueMany(mail, [1, 2, 3])
    expect(await drain({ from, to })).toMatchObject({ moved: 3 })
    expect((await to.queues.stats('mail')).ready).toBe(3)
    const back = await open('back.db')
    const first = await back.enqueue(report, 1, { id: 'same' })
    await to.enqueue(mail, 4, { id: first.id })
    expect(await drain({ from: to, to: back })).toMatchObject({ moved: 3, refused: 1 })
    expect((await to.queues.stats('mail')).ready).toBe(1)
  })
})

describe('what the destination refuses', () => {
  it('a key that is held, and an id of another task, stay held; given back they run where they were', async () => {
    const [from, to] = [await open('old.db'), await open('new.db')]
    const keyed = await from.enqueue(mail, 1, { unique: 'k' })
    await from.enqueue(mail, 2, { id: 'same' })
    const other = await from.enqueue(mail, 3)
    const holder = await to.enqueue(mail, 1, { unique: 'k' })
    await to.enqueue(report, 2, { id: 'same' })
    const refused = new Map<string, string | undefined>()
    const first = await drain({ from, to, onRefused: ({ id, holder: by }) => refused.set(id, by) })
    expect(first).toMatchObject({ moved: 1, refused: 2, left: [{ queue: 'mail', waiting: 0, held: 2 }] })
    expect(refused).toEqual(
      new Map([
        [keyed.id, holder.id],
        ['same', 'same'],
      ]),
    )
    expect((await to.jobs.get(other.id))?.name).toBe('mail')
    await to.jobs.cancel(holder.id)
    expect(await drain({ from, to })).toMatchObject({ moved: 1, refused: 1 })
    expect(await giveBackHeld(...(await driversOf(from, to)))).toEqual({ givenBack: 1, moved: 0 })
    expect((await from.jobs.get('same'))!).toMatchObject({ queue: 'mail', state: 'ready' })
  })

  it('the same store at both ends, and a queue that is not there', async () => {
    const [from, again] = [await open('old.db'), await open('old.db')]
    await from.enqueue(mail, 1)
    await expect(drain({ from, to: again })).rejects.toMatchObject({ code: 'ERR_CONFIGURATION', message: /same store/ })
    await expect(drain({ from, to: from })).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' })
    const to = await open('old.db', { namespace: 'new' })
    await expect(drain({ from, to, queues: ['no'] })).rejects.toMatchObject({ message: /no queue "no". It has: mail/ })
    expect(await drain({ from, to, queues: ['mail'] })).toMatchObject({ moved: 1 })
    expect(await idsOf(from)).toEqual([])
  })

  it('stops when it is told to, and goes on later', async () => {
    const [from, to] = [await open('old.db'), await open('new.db')]
    const ids = await fill(from)
    const stopping = new AbortController()
    const first = await drain({ from, to, signal: stopping.signal, onProgress: () => stopping.abort() })
    expect(first).toMatchObject({ moved: 200, stopped: true })
    expect(await drain({ from, to })).toMatchObject({ moved: 800, stopped: false })
    expect(await idsOf(to)).toEqual(ids)
  })
})
