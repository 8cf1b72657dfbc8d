// Coalesces neighbouring writes into one: what is asked for in one turn shares a transaction, and nobody gets a
// neighbour's error.

interface Item<In, Out> {
  readonly input: In
  resolve(out: Out): void
  reject(error: unknown): void
}

export interface Batcher<In, Out> {
  /** Resolves or rejects when the batch that holds this input is done. */
  add(input: In): Promise<Out>
  /** Resolves once nothing is waiting or under way. */
  idle(): Promise<void>
}

/** What became of one input of a batch. */
export type Outcome<Out> = { readonly ok: true; readonly value: Out } | { readonly ok: false; readonly error: unknown }

/**
 * One batch is under way at a time; what arrives meanwhile is the next one. `flush` answers an outcome for each input,
 * in order; when it throws, every input of that batch gets the error.
 */
export function createBatcher<In, Out>(o: {
  /** The most inputs of a batch; or, with `weigh`, how much they may weigh together. One input is always taken. */
  readonly maxBatch: number
  weigh?(input: In): number
  flush(inputs: readonly In[]): Promise<readonly Outcome<Out>[]>
}): Batcher<In, Out> {
  const waiting: Item<In, Out>[] = []
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      // Everything that is asked for in this turn comes in first, and between two batches the event loop gets its turn:
      // callers that ask again as soon as they are answered would keep it from timers and sockets for ever.
      await new Promise<void>((resolve) => setImmediate(resolve))
      const batch = waiting.splice(0, batchSize())
      try {
        const outcomes = await o.flush(batch.map((item) => item.input))
        batch.forEach((item, i) => settle(item, outcomes[i]!))
      } catch (error) {
        for (const item of batch) item.reject(error)
      }
    }
    running = undefined
  }

  function batchSize(): number {
    let weight = 0
    const over = waiting.findIndex(({ input }) => (weight += o.weigh?.(input) ?? 1) > o.maxBatch)
    return over < 0 ? waiting.length : Math.max(1, over)
  }

  return {
    add: (input) =>
      new Promise<Out>((resolve, reject) => {
        waiting.push({ input, resolve, reject })
        running ??= run()
      }),
    idle: async () => {
      while (running) await running
    },
  }
}

function settle<Out>(item: Item<unknown, Out>, outcome: Outcome<Out>): void {
  if (outcome.ok) item.resolve(outcome.value)
  else item.reject(outcome.error)
}
