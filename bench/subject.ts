// What is measured: Millrace on a driver, or a peer. The cases know only this face, so all run through the same code.

/** About 200 bytes as JSON. */
export interface Input {
  readonly n: number
  readonly text: string
}

/** Read back from the store after a measurement; from a broker, which remembers nothing, what is gone was completed. */
export interface Counts {
  readonly enqueued: number
  readonly completed: number
  readonly dead: number
  /** Neither completed nor dead. */
  readonly waiting: number
}

/** The jobs that are measured, or those that only fill the file beside them. */
export type Kind = 'measured' | 'filler'

export interface WorkOptions {
  /** Jobs at once, where the subject has such a setting. */
  readonly concurrency: number
  /** Called when the handler of a job starts. The handler does nothing else. */
  onStart(input: Input, kind: Kind): void
}

export interface Running {
  /** Resolves when no handler runs any more and every handled job is settled. */
  stop(): Promise<void>
}

export interface EnqueueOptions {
  readonly kind?: Kind
  /** Before the filler. Only Millrace is asked for it. */
  readonly first?: boolean
}

/** A subject on a file or in a virtual host of its own. */
export interface Queue {
  /** Resolves when the job is as durable as the subject makes it. */
  enqueue(
    input: Input,
    o?: { /** Milliseconds; only Millrace is asked for it. */ readonly delay?: number },
  ): Promise<void>
  enqueueMany(inputs: readonly Input[], o?: EnqueueOptions): Promise<void>
  work(o: WorkOptions): Promise<Running>
  /** Asks the store or the broker, not the memory of this process, but for how many were enqueued. */
  count(kind: Kind): Promise<Counts>
  close(): Promise<void>
}

export interface Subject {
  readonly name: string
  /** What survives a power cut, in the words of the product. */
  readonly durability: string
  /** Product and version. */
  readonly product: string
  /** Of a case where jobs come one at a time: so many, with pauses spread evenly up to so many milliseconds between them. */
  readonly latency: { readonly jobs: number; readonly longestPause: number }
  /** Of the database in a folder, for cases that start programs of their own. */
  url?(folder: string): string
  /** @param folder for the files of this measurement */
  open(folder: string): Promise<Queue>
}

/** A subject to compare with, in the cases where it has an equivalent. */
export interface Peer extends Subject {
  readonly cases: readonly string[]
}

const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(4)

/** `count` inputs, the first with number `from`. */
export function inputs(count: number, from = 0): Input[] {
  return Array.from({ length: count }, (_, i) => ({ n: from + i, text: TEXT }))
}

/** Jobs of one call of `enqueueMany`, for every subject: a call is a transaction, and what is in a call is in memory. */
export const BATCH = 500

export async function enqueueInBatches(queue: Queue, all: readonly Input[], o: EnqueueOptions = {}): Promise<void> {
  for (let i = 0; i < all.length; i += BATCH) await queue.enqueueMany(all.slice(i, i + BATCH), o)
}
