// The state port: small shared facts under compare-and-set.
import type { State } from '../../driver/driver.js'
import type { Front } from './front.js'
import { packEnvelopes } from './packing.js'

export function createState(front: Front): State {
  return {
    get: ({ key }) => front.link.read('getState', key),
    set: ({ publish, ...o }) =>
      publish === undefined || publish.length === 0
        ? front.link.write('setState', o)
        : front.link.write('setState', { ...o, publish: packEnvelopes(publish) }, publish.length),
    delete: (o) => front.link.write('deleteState', o),
    list: ({ prefix }) => front.link.read('listState', prefix),
  }
}
