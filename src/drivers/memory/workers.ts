// Presence in memory: counters, and the watch that every beating worker keeps over the others.
import { PAUSED_PREFIX, type WorkerInfo, type Workers } from '../../driver/driver.js'
import { createLeaseWatch, watchGap, type LeaseWatch } from '../../driver/leases.js'
import { takeBack, type Table } from './table.js'

export function createWorkers(table: () => Table, lease: number): Workers {
  const watches = new Map<string, LeaseWatch>()

  return {
    async beat({ worker, info }) {
      const { workers, rows, state } = table()
      const beat = (workers.get(worker)?.beat ?? 0) + 1
      workers.set(worker, { beat, beatAt: Date.now(), info: JSON.stringify(info), stopping: info.stopping })
      const watch =
        watches.get(worker) ?? createLeaseWatch({ lease, gap: watchGap(lease), now: () => performance.now() })
      watches.set(worker, watch)
      const others = [...workers]
        .filter(([id]) => id !== worker)
        .map(([id, { beat: count }]) => ({ worker: id, count }))
      for (const dead of watch.look(others)) {
        takeBack(table(), dead.worker, !workers.get(dead.worker)!.stopping)
        workers.delete(dead.worker)
        table().emit('work')
      }
      table().emit('done') // every holder looks at what became of its jobs
      if (beat === 1) table().emit('work')
      const held = [...rows.values()].filter((row) => row.worker === worker && row.cancelling)
      const paused = [...state.keys()].filter((key) => key.startsWith(PAUSED_PREFIX))
      return {
        revoked: held.map((row) => row.envelope.id),
        paused: paused.map((key) => key.slice(PAUSED_PREFIX.length)),
      }
    },
    async leave({ worker, crashed = false }) {
      watches.delete(worker)
      takeBack(table(), worker, crashed)
      table().workers.delete(worker)
      table().emit('work')
    },
    list: async () =>
      [...table().workers].map(([worker, { info, beatAt }]) => ({
        ...(JSON.parse(info) as WorkerInfo),
        worker,
        beatAt,
      })),
  }
}
