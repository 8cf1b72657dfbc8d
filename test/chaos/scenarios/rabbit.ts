// rabbit and rabbit-pair: three workers on RabbitMQ, without a store and with one, while workers are killed, the broker is
// stopped and started, and connections are closed by it. rabbit-kill: everybody is killed, also the broker.
import type { RabbitmqNode } from '../../support/rabbitmq-node.js'
import type { BrokerSite } from '../broker-site.js'
import type { Amount, Chaos, Outcome, Scenario } from '../scenario.js'
import { trouble, type Place, type TroubleOptions } from '../trouble.js'

const EVERY = 2_000
/** Those of a short run. */
const SHORT: Amount = { jobs: 500, kills: 3, stops: 1, closes: 2 }
const KINDS = { 'fail-once': 7, fail: 23 }
/** Of a pair in a short run, so that it ends soon; in a long run it is the default, and one worker more is spared. */
const SHORT_LEASE = 2_000

const skipped = (why: string): Outcome => ({ figures: {}, violations: [], skipped: why })

/** What a scenario does on a node of its own, skipped where there can be none. */
const onNode =
  (scenario: (chaos: Chaos, node: RabbitmqNode) => Promise<Outcome>): Scenario['run'] =>
  async (chaos) => {
    const node = await chaos.rabbit()
    return typeof node === 'string' ? skipped(node) : scenario(chaos, node)
  }

const showDone = (chaos: Chaos, { effects }: Pick<Place, 'effects'>) =>
  chaos.progress(() => `${effects().filter(({ verb }) => verb === 'end').length} jobs done`)

/** The trouble, and the judgement of a broker without a store. */
async function judged(
  chaos: Chaos,
  site: BrokerSite,
  o: Omit<TroubleOptions, 'place' | 'random' | 'seconds' | 'kinds'>,
) {
  showDone(chaos, site)
  const troubled = await trouble({ ...o, place: site, random: chaos.random, seconds: chaos.seconds, kinds: KINDS })
  const { figures, violations } = await site.finish()
  return { figures: { ...troubled.figures, ...figures }, violations: [...troubled.violations, ...violations] }
}

const amountOf = (chaos: Chaos): Amount => ({ ...SHORT, ...chaos.amount })

export const rabbit: Scenario = {
  name: 'rabbit',
  does: 'RabbitMQ alone: kill -9 of workers every 2 s, stop_app and start_app, connections closed by the server',
  holds: 'nothing lost: published = completed + dead, by distinct ids; each worker handles jobs again within 5 s',
  share: 0.2,
  run: onNode(async (chaos, node) =>
    judged(chaos, await chaos.brokerSite({ node }), { node, amount: amountOf(chaos), every: EVERY }),
  ),
}

export const rabbitPair: Scenario = {
  name: 'rabbit-pair',
  does: 'the same with a file as store',
  holds: 'besides: nothing ends twice, and only what a killed worker had in hand runs again',
  share: 0.2,
  run: onNode(async (chaos, node) => {
    const vhost = 'millrace-chaos-pair'
    await node.addVhost(vhost)
    const long = (chaos.amount.jobs ?? 0) > SHORT.jobs
    const site = await chaos.site({ broker: node.urlOf(vhost), ...(!long && { lease: SHORT_LEASE }) })
    const { random, seconds } = chaos
    showDone(chaos, site)
    const kinds = { ...KINDS, cancel: 41 }
    const o = { node, place: site, random, seconds, amount: amountOf(chaos), every: EVERY, spared: long, kinds }
    const troubled = await trouble(o)
    const { figures, violations, recoveries } = await site.finish()
    return {
      figures: {
        ...troubled.figures,
        jobs: figures.jobs,
        completed: figures.completed,
        dead: figures.dead,
        'of them as suspects killed again and again': figures.crashed,
        cancelled: figures.cancelled,
        'in hand': figures.inHand,
        redone: figures.redone,
        'settles refused': figures.refusedSettles,
        'slowest recovery, ms': Math.round(Math.max(0, ...recoveries.map(({ ms }) => ms))),
        'lease, ms': site.lease,
      },
      violations: [...troubled.violations, ...violations],
    }
  }),
}

export const rabbitKill: Scenario = {
  name: 'rabbit-kill',
  does: 'RabbitMQ alone: kill -9 of workers and producers at a high rate, and of the broker itself',
  holds: 'nothing lost, also of what the broker had confirmed right before it died',
  share: 0.15,
  run: onNode(async (chaos, node) => {
    const site = await chaos.brokerSite({ node })
    await site.declared()
    const { jobs = 300, kills = 10, stops: powerCuts = 1 } = chaos.amount
    const amount = { jobs, kills, stops: 0, closes: 0 }
    return judged(chaos, site, { node, amount, powerCuts, every: 700, killsProducers: true })
  }),
}
