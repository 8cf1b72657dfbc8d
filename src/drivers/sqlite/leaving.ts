// The port of jobs that leave for another driver.
import type { Leaving } from '../../driver/leaving.js'
import type { Front } from './front.js'

export function createLeaving(front: Front): Leaving {
  return {
    hold: ({ queue, limit }) => front.link.write('hold', { queue, limit }, limit),
    held: (o) => front.link.read('held', o),
    gone: ({ queue, ids }) => front.link.write('gone', { queue, ids }, ids.length),
    giveBack: ({ queue, ids }) => front.link.write('giveBack', { queue, ids }, ids.length),
  }
}
