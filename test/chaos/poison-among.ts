// One job among innocents that kills every process that runs it; each that dies is replaced until the job is buried.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Proc } from './processes.js'
import type { Chaos } from './scenario.js'
import { monotonic } from './wait.js'

type Input = { readonly kind: 'ok'; readonly ms: number } | { readonly kind: 'poison' }

/** @param o.patience milliseconds until it must be buried */
export async function poisonAmong(
  { random, seconds }: Pick<Chaos, 'random' | 'seconds'>,
  site: {
    worker(): Proc
    enqueue(inputs: readonly Input[]): Promise<readonly string[]>
    died(proc: Proc): unknown
  },
  o: { readonly patience: number; buried(id: string): Promise<boolean> },
): Promise<{ readonly deaths: number; readonly innocents: number; readonly poisonous: string }> {
  const innocents = Math.max(100, Math.round(seconds * 20))
  const before = random.between(0, 50)
  const ok = (n: number) => Array.from({ length: n }, () => ({ kind: 'ok' as const, ms: 40 }))
  let deaths = 0
  const crew = new Map<Proc, Promise<Proc>>()
  const start = () => {
    const proc = site.worker()
    crew.set(
      proc,
      proc.ended.then(() => proc),
    )
  }
  /** Whether one has died within so many milliseconds; another takes its place. */
  const oneDied = async (ms: number) => {
    const died = await Promise.race([...crew.values(), sleep(ms, undefined)])
    if (!died) return false
    deaths += 1
    crew.delete(died)
    await site.died(died)
    start()
    return true
  }
  start()
  start()
  await Promise.all(Array.from(crew.keys(), (proc) => proc.ready))
  const ids = [
    ...(await site.enqueue(ok(before))),
    ...(await site.enqueue([{ kind: 'poison' }])),
    ...(await site.enqueue(ok(innocents - before))),
  ]
  const poisonous = ids[before]!
  const end = monotonic() + o.patience
  while (!(await o.buried(poisonous)) && monotonic() < end) await oneDied(50)
  // It may be buried before we hear of the process that it killed last.
  while (await oneDied(1_000));
  return { deaths, innocents, poisonous }
}
