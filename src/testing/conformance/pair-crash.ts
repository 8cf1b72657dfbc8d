// A pair of a broker and a store, and a process that dies at each point between the two: nothing is lost, and every job is
// settled once. P1 for what is published, P2 for what is settled, P3 for what was started, P8 for what was delayed.
import { compose } from '../../driver/compose.js'
import type { StatefulDriver } from '../../driver/driver.js'
import type { ConformanceCase } from './case.js'
import { mortal, type Death, type Life, type Point } from './mortal.js'
import { assert, CONNECT, envelope, ERROR, recordOf, until, type Hand, type Stage } from './stage.js'

const lease = 400
const handingPatience = 150
const SETTINGS = { lease, handingPatience }

export const needsPair: NonNullable<ConformanceCase['needs']> = (_traits, place) =>
  place.parts ? undefined : 'is no pair of a broker and a store'

/** A process that is going to die, once its life is armed. */
async function victim(
  stage: Stage,
  death?: Death,
  { armed = true } = {},
): Promise<{ driver: StatefulDriver<any>; life: Life }> {
  const parts = stage.place.parts!(SETTINGS)
  const life = mortal(parts, death)
  if (armed) life.arm()
  const driver = compose<any>(life)
  await driver.connect(CONNECT)
  stage.after(async () => {
    life.die()
    await parts.store.close()
  })
  return { driver, life }
}

/** Another process: it beats, and sees nothing but what comes to it. */
async function survivor(
  stage: Stage,
): Promise<{ driver: StatefulDriver<any>; hand: Hand; has(n: number): Promise<void> }> {
  const driver = await stage.driver(SETTINGS)
  const hand = await stage.hand(driver)
  return {
    driver,
    hand,
    has: (n) =>
      until(async () => {
        await hand.beat()
        return hand.deliveries.length >= n
      }, `${n} deliveries`),
  }
}

/** Nothing comes but a job that is due when everything that could still come has come. */
async function onlyMarker(at: Awaited<ReturnType<typeof survivor>>): Promise<void> {
  const before = at.hand.deliveries.length
  const marker = envelope({ notBefore: Date.now() + 2 * Math.max(lease, handingPatience) })
  await at.driver.broker.publish({ envelopes: [marker] })
  await at.has(before + 1)
  assert.deepEqual(
    at.hand.deliveries.slice(before).map((one) => one.envelope.id),
    [marker.id],
  )
}

async function completedOnce(at: Awaited<ReturnType<typeof survivor>>, id: string): Promise<void> {
  await at.has(1)
  const [delivery] = at.hand.deliveries
  assert.equal(delivery!.envelope.id, id)
  await delivery!.ack({ result: '"done"' })
  await onlyMarker(at)
  const record = await recordOf(at.driver, id)
  assert.deepEqual([record.state, record.result], ['completed', '"done"'])
}

const both = (...points: Point[]): Death[] =>
  points.flatMap((point) => [
    { when: 'before' as const, point },
    { when: 'after' as const, point },
  ])

const publishing = both('store: add', 'broker: publish', 'store: handed').map((death): ConformanceCase => {
  const kept = !(death.point === 'store: add' && death.when === 'before')
  return {
    promise: 'P1',
    level: 'driver',
    name: `who dies ${death.when} "${death.point}" of an enqueue leaves ${kept ? 'a job that is worked once' : 'nothing'}`,
    needs: needsPair,
    async run(stage) {
      const { driver, life } = await victim(stage, death)
      const one = envelope()
      void driver.broker.publish({ envelopes: [one] })
      await life.died
      const next = await survivor(stage)
      if (kept) return completedOnce(next, one.id)
      await onlyMarker(next)
      assert.deepEqual(await next.driver.jobs.get({ ids: [one.id] }), [])
    },
  }
})

const sweeping = both('store: due', 'broker: publish', 'store: handed').map((death): ConformanceCase => ({
  promise: 'P8',
  level: 'driver',
  name: `who dies ${death.when} "${death.point}" of handing over a delayed job leaves it to another, and it is worked once`,
  needs: needsPair,
  async run(stage) {
    const producer = await stage.driver(SETTINGS)
    const { driver, life } = await victim(stage, death, { armed: false })
    await stage.hand(driver, { prefetch: 0, mortal: true })
    life.arm()
    // Far enough ahead that it is not due before it is written: then the victim's sweep would have nothing to do.
    const one = envelope({ notBefore: Date.now() + 500 })
    await producer.broker.publish({ envelopes: [one] })
    await life.died
    await completedOnce(await survivor(stage), one.id)
  },
}))

const VERBS = {
  'store: ack': (hand: Hand) => hand.deliveries[0]!.ack({ result: '"done"' }),
  'store: retry': (hand: Hand) => hand.deliveries[0]!.retry({ delay: 0, error: ERROR }),
  'store: dead': (hand: Hand) => hand.deliveries[0]!.dead({ reason: 'failed', error: ERROR }),
  'store: release': (hand: Hand) => hand.deliveries[0]!.release({ why: 'stop' }),
} as const

/** What another process finds: the state of the job, or its next hand-over. */
type Left = 'completed' | 'dead' | { readonly run: number; readonly attempt: number; readonly suspect: boolean }
const started: Left = { run: 2, attempt: 1, suspect: true }

interface Settling {
  readonly death: Death | undefined
  readonly verb: keyof typeof VERBS
  readonly left: Left
}

const SETTLING: readonly Settling[] = [
  {
    death: { when: 'before', point: 'store: start' },
    verb: 'store: ack',
    left: { run: 1, attempt: 1, suspect: false },
  },
  { death: { when: 'after', point: 'store: start' }, verb: 'store: ack', left: started },
  { death: undefined, verb: 'store: ack', left: started },
  { death: { when: 'before', point: 'store: ack' }, verb: 'store: ack', left: started },
  { death: { when: 'after', point: 'store: ack' }, verb: 'store: ack', left: 'completed' },
  { death: { when: 'before', point: 'broker: ack' }, verb: 'store: ack', left: 'completed' },
  { death: { when: 'after', point: 'broker: ack' }, verb: 'store: ack', left: 'completed' },
  { death: { when: 'before', point: 'store: retry' }, verb: 'store: retry', left: started },
  {
    death: { when: 'after', point: 'store: retry' },
    verb: 'store: retry',
    left: { run: 2, attempt: 2, suspect: false },
  },
  { death: { when: 'before', point: 'store: dead' }, verb: 'store: dead', left: started },
  { death: { when: 'after', point: 'store: dead' }, verb: 'store: dead', left: 'dead' },
  { death: { when: 'before', point: 'store: release' }, verb: 'store: release', left: started },
  {
    death: { when: 'after', point: 'store: release' },
    verb: 'store: release',
    left: { run: 2, attempt: 1, suspect: false },
  },
]

function told({ death, left }: Settling): string {
  const point = death ? `${death.when} "${death.point}"` : 'while the handler runs'
  if (typeof left === 'string')
    return `who dies ${point} leaves the job ${left}, and its message is acknowledged unseen`
  const how = left.suspect ? 'as a suspect, uncounted and unspent' : `in attempt ${left.attempt}, and no suspect`
  return `who dies ${point} leaves the job to another, ${how}`
}

const settling = SETTLING.map((one): ConformanceCase => ({
  promise: typeof one.left === 'string' ? 'P2' : one.verb === 'store: retry' && !one.left.suspect ? 'P5' : 'P3',
  level: 'driver',
  name: told(one),
  needs: needsPair,
  async run(stage) {
    const { driver, life } = await victim(stage, one.death)
    const job = envelope()
    await (await stage.driver(SETTINGS)).broker.publish({ envelopes: [job] })
    const hand = await stage.hand(driver, { mortal: true })
    if (one.death?.point !== 'store: start') {
      await until(() => hand.deliveries.length === 1, 'the delivery')
      if (one.death) void VERBS[one.verb](hand)
      else life.die()
    }
    await life.died
    const next = await survivor(stage)
    const { left } = one
    if (typeof left === 'string') await onlyMarker(next)
    else {
      await next.has(1)
      const { run, attempt, suspect } = next.hand.deliveries[0]!
      assert.deepEqual({ run, attempt, suspect }, left)
      assert.equal(next.hand.deliveries[0]!.crashes, 0)
      return completedOnce(next, job.id)
    }
    const record = await recordOf(next.driver, job.id)
    assert.deepEqual([record.state, record.run], [left, 1])
  },
}))

const purging = both('store: purge').map((death): ConformanceCase => ({
  promise: 'P2',
  level: 'driver',
  name: `who dies ${death.when} "${death.point}" of a purge leaves ${death.when === 'before' ? 'every job' : 'no job, and messages that are acknowledged unseen'}`,
  needs: needsPair,
  async run(stage) {
    const jobs = [envelope(), envelope(), envelope({ notBefore: Date.now() + 50 })]
    await (await stage.driver(SETTINGS)).broker.publish({ envelopes: jobs })
    const { driver, life } = await victim(stage, death)
    void driver.broker.purge({ queue: jobs[0]!.queue })
    await life.died
    const next = await survivor(stage)
    if (death.when === 'before') await next.has(jobs.length)
    await onlyMarker(next)
    assert.equal(next.hand.deliveries.length, death.when === 'before' ? jobs.length + 1 : 1)
  },
}))

const BACKLOG = 300

const urgent: ConformanceCase = {
  promise: 'P3',
  level: 'driver',
  name: 'the job of a dead worker comes back before what is waiting in the queue since',
  needs: needsPair,
  async run(stage) {
    const producer = await stage.driver(SETTINGS)
    const { driver, life } = await victim(stage)
    const job = envelope()
    await producer.broker.publish({ envelopes: [job] })
    const hand = await stage.hand(driver, { mortal: true })
    await hand.next()
    life.die()
    await producer.broker.publish({ envelopes: Array.from({ length: BACKLOG }, () => envelope()) })
    const next = await stage.driver(SETTINGS)
    const heir = await stage.hand(next, { prefetch: 0 })
    await until(async () => {
      await heir.beat()
      return (await recordOf(next, job.id)).suspect
    }, 'the death to be seen')
    heir.consumer.setPrefetch(1)
    let before = 0
    for (;;) {
      const delivery = await heir.next()
      await delivery.ack()
      if (delivery.envelope.id === job.id) break
      before += 1
    }
    // How many depends on when it was handed over; all of them if it stood behind them.
    assert.ok(before < BACKLOG - 50, `${before} came before it`)
  },
}

export const pairCrashCases: readonly ConformanceCase[] = [...publishing, ...settling, ...sweeping, ...purging, urgent]
