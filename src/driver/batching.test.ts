// Batches: what one turn asks for goes together, and errors go to who caused them.
import { describe, expect, it } from 'vitest'
import { createBatcher, type Outcome } from './batching.js'

const ok = (value: number): Outcome<number> => ({ ok: true, value })

describe('a batcher', () => {
  it('puts what one turn asks for into one batch, and what comes meanwhile into the next', async () => {
    const batches: (readonly number[])[] = []
    let release!: () => void
    const gate = new Promise<void>((resolve) => (release = resolve))
    const batcher = createBatcher<number, number>({
      maxBatch: 10,
      flush: async (inputs) => {
        batches.push(inputs)
        if (batches.length === 1) await gate
        return inputs.map((n) => ok(n * 2))
      },
    })
    const first = [batcher.add(1), batcher.add(2)]
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const second = [batcher.add(3), batcher.add(4)]
    release()
    expect(await Promise.all([...first, ...second])).toEqual([2, 4, 6, 8])
    expect(batches).toEqual([
      [1, 2],
      [3, 4],
    ])
    await batcher.idle()
  })

  it('never makes a batch larger than it may be', async () => {
    const sizes: number[] = []
    const batcher = createBatcher<number, number>({
      maxBatch: 3,
      flush: async (inputs) => {
        sizes.push(inputs.length)
        return inputs.map(ok)
      },
    })
    await Promise.all(Array.from({ length: 8 }, (_, n) => batcher.add(n)))
    expect(sizes).toEqual([3, 3, 2])
  })

  it('gives each its own outcome, and all the error of a flush that failed as a whole', async () => {
    const batcher = createBatcher<number, number>({
      maxBatch: 10,
      flush: async (inputs) => {
        if (inputs.includes(0)) throw new Error('whole')
        return inputs.map((n) => (n < 0 ? { ok: false, error: new Error(`own ${n}`) } : ok(n)))
      },
    })
    const mixed = await Promise.allSettled([batcher.add(1), batcher.add(-1), batcher.add(2)])
    expect(mixed.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message))).toEqual([1, 'own -1', 2])
    const failed = await Promise.allSettled([batcher.add(1), batcher.add(0)])
    expect(failed.map((one) => one.status === 'rejected' && one.reason.message)).toEqual(['whole', 'whole'])
    expect(await batcher.add(5)).toBe(5)
  })
})

describe('callers that ask again as soon as they are answered', () => {
  it('leave the event loop its turns', async () => {
    const batcher = createBatcher<number, number>({ maxBatch: 10, flush: async (inputs) => inputs.map(ok) })
    let over = false
    const timer = new Promise<void>((resolve) => setTimeout(resolve, 1)).then(() => (over = true))
    while (!over) await batcher.add(1)
    await timer
    expect(over).toBe(true)
  })
})
