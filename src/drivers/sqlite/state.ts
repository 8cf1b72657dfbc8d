// The state port: small shared facts under compare-and-set.
import type { State } from '../../driver/driver.js'
import type { Front } from './front.js'

export function createState(front: Front): State {
  return {
    get: ({ key }) => front.link.read('getState', key),
    set: (o) => front.link.write('setState', o),
    delete: (o) => front.link.write('deleteState', o),
    list: ({ prefix }) => front.link.read('listState', prefix),
  }
}
