// How long faults kept jobs waiting. Pure, as the ledger is.
import { groupById, type History } from './ledger.js'

export interface Recovery {
  readonly process: string
  readonly lease: number
  /** From the fault to the moment when the last job that was in hand has begun again. */
  readonly ms: number
}

/**
 * How long each fault kept jobs waiting. A job that ended in the very run that was in hand needed no recovery, and one that
 * another fault hit before it had begun again is that fault's: it counts from there.
 */
export function recoveries(history: History): {
  readonly times: readonly Recovery[]
  readonly never: readonly string[]
} {
  const begins = groupById(history.effects.filter(({ verb }) => verb === 'begin'))
  const byId = new Map(history.rows.map((row) => [row.id, row]))
  const hits = new Map<string, { run: number; at: number }[]>()
  for (const { hands, at } of history.faults)
    for (const { id, run } of hands) hits.set(id, [...(hits.get(id) ?? []), { run, at }])
  const times: Recovery[] = []
  const never: string[] = []
  for (const fault of history.faults) {
    let last: number | undefined
    for (const { id, run } of fault.hands) {
      const row = byId.get(id)
      if (!row || row.run === run) continue
      const again = begins.get(id)?.find((one) => one.run > run)
      const overtaken = hits.get(id)!.some((hit) => hit.run > run && hit.at < (again?.at ?? Infinity))
      if (overtaken) continue
      if (again) last = Math.max(last ?? 0, again.at - fault.at)
      else if (row.state !== 'cancelled') never.push(id)
    }
    if (last !== undefined) times.push({ process: fault.process, lease: fault.lease, ms: last })
  }
  return { times, never }
}

/** The value below which a share `p` (0 to 1) of the values lies; 0 of none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? 0
}
