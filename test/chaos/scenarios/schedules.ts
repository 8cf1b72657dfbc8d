// schedules: three workers declare one schedule, and whoever makes its ticks is killed again and again.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Proc } from '../processes.js'
import type { Scenario } from '../scenario.js'
import { monotonic, until } from '../wait.js'

const WORKERS = 3
const PREFIX = 'schedule/second/'
/** From the death of the holder until the ticks that were missed must have been made. */
const PATIENCE = 20_000
/** A worker that was killed is in the store until its lease is over; this is not what is under test. */
const LEASE = 3_000

const secondOf = (id: string) => Date.parse(id.slice(PREFIX.length)) / 1000
const idOf = (proc: Proc) => /^worker (\S+)$/m.exec(proc.output())?.[1]

export const schedules: Scenario = {
  name: 'schedules',
  does: 'three workers with one schedule of a tick per second; the one that makes the ticks is killed, and replaced, every 10 s',
  holds: "every second's tick is there once: none is missing, none is there twice, and none runs without a fault twice",
  share: 0.14,
  async run(chaos) {
    const site = await chaos.site({ lease: LEASE })
    const start = () => site.program('crew-scheduler.mjs')
    const crew = Array.from({ length: WORKERS }, start)
    await Promise.all(crew.map(({ ready }) => ready))
    const ticks = () => site.effects().filter(({ verb }) => verb === 'begin')
    const end = monotonic() + chaos.seconds * 1000
    const every = Math.min(10_000, Math.max(3_000, (chaos.seconds * 1000) / 3))
    const gaps: number[] = []
    const violations: string[] = []
    let kills = 0
    chaos.progress(() => `${kills} holders killed, ${ticks().length} ticks run`)
    for (let next = monotonic() + every; next < end; next += every) {
      await sleep(Math.max(0, next - monotonic()))
      let holder: Proc | undefined
      const found = await until(async () => {
        const id = await site.scheduler()
        return (holder = crew.find((one) => one.running && idOf(one) === id)) !== undefined
      }, PATIENCE)
      if (!found || !holder) {
        violations.push(`nobody took over within ${PATIENCE / 1000} s`)
        break
      }
      const at = monotonic()
      await site.kill(holder)
      kills += 1
      crew.push(start())
      if (!(await until(() => ticks().some((tick) => tick.at > at + 100), PATIENCE)))
        violations.push(`no tick ran within ${PATIENCE / 1000} s of kill ${kills}`)
      gaps.push((ticks().find((tick) => tick.at > at + 100)?.at ?? Infinity) - at)
    }
    await sleep(Math.max(0, end - monotonic()))
    // Whatever the last to die have left undone is done before anything is counted.
    const open = async () => (await site.records()).some(({ state }) => state !== 'completed')
    for (const one of crew.filter(({ running }) => running)) await one.ready
    if (!(await until(async () => !(await open()), 3 * LEASE + PATIENCE))) violations.push('ticks were left unrun')
    const alive = crew.filter(({ running }) => running)
    for (const one of alive) one.signal('SIGTERM')
    const codes = await Promise.all(alive.map(({ ended }) => ended))
    if (codes.some((code) => code !== 0)) violations.push(`workers ended with ${codes.join(', ')}`)

    const ids = (await site.records()).map(({ envelope }) => envelope.id)
    const seconds = ids.map(secondOf).sort((a, b) => a - b)
    const [first = 0, last = 0] = [seconds[0], seconds.at(-1)]
    const missing = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter(
      (second) => !seconds.includes(second),
    )
    const twice = seconds.filter((second, i) => second === seconds[i - 1])
    const runs = new Map<string, number>()
    for (const { id } of ticks()) runs.set(id, (runs.get(id) ?? 0) + 1)
    const again = [...runs.values()].filter((times) => times > 1).length
    const iso = (list: readonly number[]) => list.slice(0, 5).map((second) => new Date(second * 1000).toISOString())
    if (missing.length > 0) violations.push(`${missing.length} ticks are missing: ${iso(missing).join(', ')}`)
    if (twice.length > 0) violations.push(`${twice.length} ticks are there twice: ${iso(twice).join(', ')}`)
    if (ids.some((id) => !runs.has(id))) violations.push('a tick was never run')
    if (again > kills) violations.push(`${again} ticks ran twice, and ${kills} workers were killed`)
    if (kills === 0) violations.push('no holder was killed: nothing was tested')
    return {
      figures: {
        'holders killed': kills,
        'seconds from first to last tick': last - first + 1,
        ticks: ids.length,
        missing: missing.length,
        twice: twice.length,
        'run again after a kill': again,
        'longest until the next tick after a kill, ms': Math.round(Math.max(0, ...gaps)),
      },
      violations,
    }
  },
}
