// The port for dead jobs of a broker that remembers no others.
import type { JobQuery, JobRecord, Moved } from './jobs.js'

/** Which dead jobs. Every part given must hold. */
export type DeadQuery = Omit<JobQuery, 'states' | 'worker' | 'suspect' | 'blocked'>

/** Dead jobs of a broker that remembers no others. Looking takes nothing away. */
export interface DeadLetters {
  /** As `Jobs.list`, of dead jobs. */
  list(
    o: DeadQuery & { readonly limit: number; readonly cursor?: string },
  ): Promise<{ readonly jobs: readonly JobRecord[]; readonly cursor?: string }>
  /** As `Jobs.move`. `ready`: back in their queues with fresh attempts, under the same ids. */
  move(
    o: DeadQuery & { readonly to: 'ready' | 'deleted'; readonly limit: number; readonly cursor?: string },
  ): Promise<{ readonly moved: readonly Moved[]; readonly cursor?: string }>
}
