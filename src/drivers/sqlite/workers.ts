// The workers port: presence.
import { PAUSED_PREFIX, type Workers } from '../../driver/driver.js'
import type { Front } from './front.js'

export function createWorkers(front: Front): Workers {
  /** Workers that have beaten through this driver. */
  const known = new Set<string>()
  return {
    async beat({ worker, info, pulse }) {
      const args = { worker, info, ...(pulse && { pulse: pulse.cells }) }
      let beaten = await front.link.write('beat', { ...args, again: !known.has(worker) })
      if (known.has(worker) && !beaten.alive) {
        // We were taken for dead: whatever we hold has been given to others. Only when that is let go do we come back, for
        // with the entry comes new work.
        front.lose(worker, 'lease')
        beaten = await front.link.write('beat', { ...args, again: true })
      }
      known.add(worker)
      const { revoked, paused } = beaten
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
