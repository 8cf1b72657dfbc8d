// The jobs port: look up, list, count, the operator's moves, and retention.
import type { Jobs } from '../../driver/driver.js'
import type { Front } from './front.js'

export function createJobs(front: Front): Jobs {
  return {
    get: ({ ids, finished = false }) => front.link.read('jobs', { ids, finished }),
    list: (o) => front.link.read('listJobs', o),
    count: (o) => front.link.read('countJobs', o),
    async move({ to, ...page }) {
      const { seqs, ...rest } = await front.link.read('findJobs', page)
      return { moved: await front.link.write('moveJobs', { seqs, to }, seqs.length), ...rest }
    },
    async prune({ limit }) {
      if (!(await front.link.read('isPrunable', null))) return 0
      return front.link.write('prune', limit)
    },
    logs: ({ id, after = 0, limit }) => front.link.read('lines', { id, after, limit }),
  }
}
