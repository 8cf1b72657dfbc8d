// A pair on RabbitMQ that writes only how most jobs end: what becomes of jobs whose process died, and of one that is poison.
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { newId } from '../../src/core/id.js'
import { compose } from '../../src/driver/compose.js'
import type { Delivery, StatefulDriver } from '../../src/driver/driver.js'
import { rabbitmq } from '../../src/drivers/rabbitmq/index.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { CONNECT, envelope, INFO } from '../../src/testing/conformance/stage.js'
import { useFolder } from '../support/folder.js'
import { startProxy } from '../support/proxy.js'
import { describeRabbitmq } from '../support/rabbitmq.js'
import { rabbitmqPlace, type RabbitmqPlace } from '../support/rabbitmq-places.js'

const LEASE = 600
const folder = useFolder()

await describeRabbitmq("history: 'final'", (on) => {
  let place: RabbitmqPlace
  const ends: (() => unknown)[] = []
  beforeEach(async () => {
    place = await rabbitmqPlace(on)
  })
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
    await place.destroy()
  })

  /** A process with a worker that beats, until it is killed. */
  async function processOf(onDelivery: (delivery: Delivery<any>, kill: () => void) => void = () => {}) {
    const proxy = await startProxy(on.settings.hosts[0]!)
    const store = sqlite({
      file: join(folder(), 'jobs.db'),
      lease: LEASE,
      handingPatience: 200,
      maxCrashes: 2,
    }) as StatefulDriver<any>
    const broker = rabbitmq({ ...place.broker, hosts: `127.0.0.1:${proxy.port}` })
    const driver = compose<any>({ broker, store, history: 'final' })
    await driver.connect(CONNECT)
    const worker = newId()
    const beat = () => driver.workers.beat({ worker, info: INFO })
    await beat()
    const beats = setInterval(() => void beat().catch(() => {}), LEASE / 6)
    let alive = true
    /** Nothing of it is heard again, and nothing that it had in hand is given back. */
    const kill = () => {
      if (!alive) return
      alive = false
      clearInterval(beats)
      proxy.away()
      void store.close()
    }
    ends.push(async () => {
      kill()
      proxy.mend()
      await driver.close().catch(() => {})
      await proxy.close()
    })
    await driver.broker.consume({
      queue: 'q',
      worker,
      prefetch: 20,
      onDelivery: (delivery) => void (alive && onDelivery(delivery, kill)),
    })
    return { driver, broker, kill }
  }

  const known = async ({ jobs }: StatefulDriver<any>, ids: readonly string[]) =>
    new Map((await jobs.get({ ids })).map((record) => [record.envelope.id, record]))

  it(
    'what a dead process had in hand is the next one’s, and every end is written once',
    { timeout: 60_000 },
    async () => {
      const jobs = Array.from({ length: 12 }, () => envelope())
      const ids = jobs.map(({ id }) => id)
      const held: Delivery<any>[] = []
      const first = await processOf((delivery) => void held.push(delivery))
      await first.driver.broker.publish({ envelopes: jobs })
      await expect.poll(() => held.length, { timeout: 15_000 }).toBe(jobs.length)
      // Of some the end is written, and their acknowledgement is lost with the process.
      await Promise.all(held.slice(0, 3).map((delivery) => delivery.ack({ result: '"first"' })))
      expect([...(await known(first.driver, ids)).keys()].toSorted()).toEqual(ids.slice(0, 3).toSorted())
      first.kill()
      const ran: Delivery<any>[] = []
      const next = await processOf((delivery) => {
        ran.push(delivery)
        void delivery.ack({ result: '"next"' })
      })
      const ended = async () =>
        [...(await known(next.driver, ids)).values()].filter(({ state }) => state === 'completed')
      await expect.poll(async () => (await ended()).length, { timeout: 30_000 }).toBe(jobs.length)
      expect(ran.map(({ envelope: { id } }) => id).toSorted()).toEqual(ids.slice(3).toSorted())
      expect(ran.every(({ suspect, attempt }) => suspect && attempt === 1)).toBe(true)
      const results = (await ended()).map(({ envelope: { id }, result }) => [id, result])
      expect(new Map(results as [string, string][])).toEqual(
        new Map(ids.map((id, i) => [id, i < 3 ? '"first"' : '"next"'])),
      )
    },
  )

  it('a poisonous job is the store’s from its first crash on, which buries it', { timeout: 90_000 }, async () => {
    const poison = envelope({ name: 'poison' })
    const innocent = Array.from({ length: 5 }, () => envelope())
    let runs = 0
    const work = (delivery: Delivery<any>, kill: () => void) => {
      if (delivery.envelope.name !== 'poison') {
        void delivery.ack().catch(() => {})
        return
      }
      runs += 1
      // It has begun, and that is written where it counts.
      void delivery.start().then(kill)
    }
    const watcher = await processOf((delivery) => {
      if (delivery.envelope.name === 'poison') void delivery.release({ delay: 20, why: 'limit' }).catch(() => {})
      else void delivery.ack().catch(() => {})
    })
    const state = async () => (await known(watcher.driver, [poison.id])).get(poison.id)
    // The watcher gives the poisonous one back, so that one of the others gets it.
    await watcher.driver.broker.publish({ envelopes: [poison, ...innocent] })
    while ((await state())?.state !== 'dead' && runs < 10) {
      const before = runs
      await processOf(work)
      await expect.poll(async () => runs > before || (await state())?.state === 'dead', { timeout: 20_000 }).toBe(true)
    }
    // Once while nothing was written of it, and then as often as a suspect may.
    expect(runs).toBe(3)
    expect(await state()).toMatchObject({ reason: 'crashed', crashes: 2 })
    const all = await known(
      watcher.driver,
      innocent.map(({ id }) => id),
    )
    expect([...all.values()].map(({ state: how }) => how)).toEqual(innocent.map(() => 'completed'))
    const { jobs } = await watcher.broker.deadLetters!.list({ limit: 10 })
    expect(jobs).toEqual([])
  })
})
