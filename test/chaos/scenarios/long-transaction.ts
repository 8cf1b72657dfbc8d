// long-transaction: a user's own program holds a transaction with a write open on the same file.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scenario } from '../scenario.js'
import { monotonic, until } from '../wait.js'

/** How much later than `publishTimeout` a refusal may reach its caller on a busy machine. */
const LATE = 1_500
const ANSWER = 15_000

export const longTransaction: Scenario = {
  name: 'long-transaction',
  does: "a user's own better-sqlite3 transaction with a write in it stays open on the same file",
  holds:
    'no handler sees an error, an enqueue waits or is refused as not-sent within publishTimeout, nobody loses a lease, and work goes on by itself',
  share: 0.1,
  async run(chaos) {
    const long = chaos.seconds >= 30
    const publishTimeout = long ? 10_000 : 2_000
    const hold = Math.max(2 * publishTimeout, chaos.seconds * 1000)
    const site = await chaos.site(long ? {} : { lease: 2_000 })
    const workers = [site.worker({ client: { publishTimeout } }), site.worker({ client: { publishTimeout } })]
    await Promise.all(workers.map((worker) => worker.ready))
    await site.producer({ ms: 50, lanes: 2, pause: 20, client: { publishTimeout } }).ready
    await sleep(chaos.random.between(300, 900))
    const holder = site.program('holder.mjs')
    await holder.ready
    const since = monotonic()
    chaos.progress(() => `the transaction is open for ${Math.round((monotonic() - since) / 1000)} of ${hold / 1000} s`)
    await sleep(hold)
    holder.signal('SIGTERM')
    const violations: string[] = []
    if ((await holder.ended) !== 0) violations.push("the user's own transaction did not commit")
    const [after] = await site.enqueue([{ kind: 'ok' }])
    const done = async () => (await site.jobs([after!]))[0]?.state === 'completed'
    if (!(await until(done, ANSWER))) violations.push(`a job enqueued afterwards was not done within ${ANSWER} ms`)
    const verdict = await site.finish()
    const effects = site.effects()
    const refused = effects.filter(({ verb }) => verb === 'refused')
    const wrong = refused.filter(({ outcome }) => outcome !== 'ERR_BROKER_UNAVAILABLE/not-sent')
    const slowest = Math.max(0, ...refused.map(({ attempt }) => attempt))
    const threw = effects.filter(({ verb }) => verb === 'throw').length
    const silent = site.logged(/fell silent/)
    if (refused.length === 0) violations.push('no enqueue was refused: the transaction was not in the way')
    if (wrong.length > 0) violations.push(`${wrong.length} enqueues were refused as ${wrong[0]!.outcome}`)
    if (slowest > publishTimeout + LATE)
      violations.push(`a refusal took ${slowest} ms; publishTimeout is ${publishTimeout}`)
    if (threw > 0) violations.push(`${threw} handlers threw`)
    if (silent.length > 0) violations.push(`a worker was taken for dead: ${silent[0]}`)
    if (verdict.figures.redone > 0) violations.push(`${verdict.figures.redone} jobs ran again`)
    return {
      figures: {
        'open for, s': Math.round(hold / 1000),
        jobs: verdict.figures.jobs,
        refused: refused.length,
        'slowest refusal, ms': slowest,
        'publishTimeout, ms': publishTimeout,
        redone: verdict.figures.redone,
      },
      violations: [...violations, ...verdict.violations],
    }
  },
}
