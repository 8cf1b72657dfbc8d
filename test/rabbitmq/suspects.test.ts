// Jobs whose worker died: which of them are suspects, how often a poisonous one runs, and that it takes no innocent one along.
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Envelope } from '../../src/core/envelope.js'
import { envelope } from '../../src/testing/conformance/stage.js'
import { startProxy, type Proxy } from '../support/proxy.js'
import { site, type Site } from '../support/rabbitmq-hands.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

await describeRabbitmq('suspects', (rabbitmq) => {
  let here: Site
  const proxies: Proxy[] = []
  /** What the drivers of this test have logged. */
  let said: string[] = []
  beforeEach(async () => {
    here = await site(rabbitmq)
    said = []
  })
  afterEach(async () => {
    await here.end()
    for (const proxy of proxies.splice(0)) await proxy.close()
  })

  /** A process that can be killed: nothing it has in hand is given back. */
  async function mortal() {
    const proxy = await startProxy(rabbitmq.settings.hosts[0]!)
    proxies.push(proxy)
    const driver = await here.driver({ hosts: `127.0.0.1:${proxy.port}`, said })
    return { driver, kill: () => proxy.away() }
  }

  it(
    'a poisonous job is buried after its limit, and the others are handed over all the same',
    { timeout: 60_000 },
    async () => {
      const poison: Envelope = envelope({ name: 'poison' })
      const innocents = Array.from({ length: 8 }, () => envelope({ name: 'innocent' }))
      const operator = await here.driver()
      await operator.broker.publish({ envelopes: [poison, ...innocents] })
      let runs = 0
      const done: string[] = []
      while (runs < 10) {
        const { driver, kill } = await mortal()
        let died!: () => void
        const dead = new Promise<'died'>((resolve) => (died = () => resolve('died')))
        let gone = false
        await driver.broker.consume({
          queue: 'q',
          worker: 'w',
          prefetch: 10,
          onDelivery(delivery) {
            if (gone) return
            if (delivery.envelope.name === 'poison') {
              runs += 1
              gone = true
              kill()
              died()
            } else if (delivery.suspect || runs > 0)
              void delivery.ack().then(
                () => done.push(delivery.envelope.id),
                () => {},
              )
          },
        })
        const finish = async () => {
          await expect.poll(() => innocents.every(({ id }) => done.includes(id)), { timeout: 20_000 }).toBe(true)
          const buried = async () => (await operator.deadLetters!.list({ limit: 10 })).jobs.length
          await expect.poll(buried, { timeout: 5_000 }).toBe(1)
          return 'done' as const
        }
        const allDone = finish()
        allDone.catch(() => {})
        if ((await Promise.race([dead, allDone])) === 'died') continue
        gone = true
        kill()
        break
      }
      // Once uncounted, in the midst of the others, and then as often as a suspect may.
      expect(runs).toBe(4)
      const { jobs } = await operator.deadLetters!.list({ limit: 10 })
      expect(jobs).toMatchObject([
        { envelope: { id: poison.id, queue: 'q' }, reason: 'crashed', state: 'dead', crashes: 3 },
      ])
      expect(said.filter((line) => line.startsWith('The job is dead'))).toEqual([
        'The job is dead: The process that ran it died 3 times.',
      ])
      expect(new Set(done)).toEqual(new Set(innocents.map(({ id }) => id)))
      await operator.deadLetters!.move({ ids: [poison.id], to: 'ready', limit: 1 })
      const again = await (await here.hand(operator)).next()
      expect([again.envelope.id, again.suspect, again.crashes, again.attempt]).toEqual([poison.id, false, 0, 1])
      await again.ack()
    },
  )

  it('a worker that stops in order makes no suspects and counts no crash', { timeout: 30_000 }, async () => {
    const { driver, kill } = await mortal()
    await driver.broker.publish({ envelopes: [envelope(), envelope(), envelope()] })
    const hand = await here.hand(driver)
    for (let n = 0; n < 3; n++) await hand.next()
    kill()
    // Three suspects. One is in hand and given back, another is being held when the worker stops.
    const ids = new Set<string>()
    for (let round = 0; round < 4; round++) {
      const heir = await here.driver()
      const taker = await here.hand(heir)
      const suspect = await taker.next()
      expect([suspect.suspect, suspect.crashes]).toEqual([true, 0])
      ids.add(suspect.envelope.id)
      const stopping = taker.consumer.stop()
      await suspect.release()
      await stopping
      await heir.close()
    }
    const operator = await here.driver()
    const last = await here.hand(operator)
    for (let n = 0; n < 3; n++) {
      const job = await last.next()
      expect([job.suspect, job.crashes]).toEqual([true, 0])
      await job.ack()
    }
    expect((await operator.deadLetters!.list({ limit: 10 })).jobs).toEqual([])
  })

  it('what is given back in order is no suspect, and what is in hand when the link is cut hears of it', async () => {
    const { driver, kill } = await mortal()
    await driver.broker.publish({ envelopes: [envelope(), envelope()] })
    const hand = await here.hand(driver)
    const [one, two] = [await hand.next(), await hand.next()]
    const lost: string[] = []
    two.onLost((why) => lost.push(why))
    await one.release()
    const back = await hand.next()
    expect([back.envelope.id, back.suspect, back.run, back.attempt]).toEqual([one.envelope.id, false, 2, 1])
    kill()
    await expect.poll(() => lost).toEqual(['link'])
    await expect(two.ack()).rejects.toMatchObject({ code: 'ERR_LEASE_LOST' })
    const heir = await here.hand(await here.driver())
    const suspects = [await heir.next()]
    await suspects[0]!.ack() // one at a time
    suspects.push(await heir.next())
    await suspects[1]!.ack()
    expect(suspects.map(({ suspect, crashes, attempt }) => [suspect, crashes, attempt])).toEqual([
      [true, 0, 1],
      [true, 0, 1],
    ])
    expect(suspects.map(({ envelope: { id } }) => id).toSorted()).toEqual([one.envelope.id, two.envelope.id].toSorted())
  })
})
