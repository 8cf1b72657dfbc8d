// The workers port: presence.
import { PAUSED_PREFIX, type Workers } from '../../driver/driver.js'
import type { Front } from './front.js'

export function createWorkers(front: Front): Workers {
  /** Workers that have beaten through this driver. */
  const known = new Set<string>()
  return {
    async beat({ worker, info, pulse }) {
      const wasKnown = known.has(worker)
      const { alive, revoked, paused } = await front.link.write('beat', {
        worker,
        info,
        again: true,
        ...(pulse && { pulse: pulse.cells }),
      })
      known.add(worker)
      // We were taken for dead: whatever we hold has been given to others.
      if (wasKnown && !alive) front.lose(worker, 'lease')
      if (revoked.length > 0) front.lose(worker, 'cancelled', revoked)
      return { revoked, paused: paused.map((key) => key.slice(PAUSED_PREFIX.length)) }
    },
    async leave({ worker, crashed = false }) {
      known.delete(worker)
      await front.link.write('leave', { worker, crashed })
    },
    list: () => front.link.read('workers', null),
  }
}
