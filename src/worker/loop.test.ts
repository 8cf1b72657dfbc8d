// A blocked event loop is told once it is free, with what ran; and it is in the figures of the next beat.
import { afterEach, expect, it } from 'vitest'
import type { RunningJob } from '../driver/driver.js'
import { until } from '../testing/conformance/stage.js'
import { watchLoop, type LoopWatch } from './loop.js'

let watch: LoopWatch | undefined
afterEach(() => watch?.stop())

/** Keep the event loop from everything else. */
function block(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end) Math.sqrt(end)
}

it('names the tasks and jobs that ran while the event loop was blocked, and for how long', async () => {
  const told: [object | string, string | undefined][] = []
  const quiet = () => {}
  const log = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (o: object | string, m?: string) => void told.push([o, m]),
  }
  const running: RunningJob[] = []
  watch = watchLoop({ log, jobs: () => [...running] })
  await until(() => watch!.sample().load > 0, 'the first sample')
  running.push({ id: 'j1', name: 'think', attempt: 1, suspect: false, since: Date.now() })
  block(1_600)
  await until(() => told.length > 0, 'the warning')
  running.length = 0
  expect(told[0]).toEqual([
    {
      blocked: expect.stringMatching(/^1(\.\d)?s$|^\d(\.\d)?s$/),
      running: expect.stringMatching(/^think j1 for \d(\.\d)?s$/),
    },
    expect.stringMatching(/blocked.*docs\/operating\.md#blocked/),
  ])
  const { load, loopDelay } = watch.sample()
  expect(load).toBeGreaterThan(0.3)
  expect(loopDelay).toBeGreaterThan(1_000)
})

it('says nothing new within a tenth of a second, over which a share means nothing', () => {
  watch = watchLoop({ log: { debug() {}, info() {}, warn() {}, error() {} }, jobs: () => [] })
  expect(watch.sample()).toEqual({ load: 0, loopDelay: 0 })
})
