// `npm run demo:rabbitmq`: two worker processes on RabbitMQ, of which one is killed; it ends by itself.
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startNode } from '../support/process.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

const demo = join(import.meta.dirname, '../../examples/rabbitmq/demo.ts')
const PICTURES = 60

await describeRabbitmq('npm run demo:rabbitmq', (rabbit) => {
  it('makes every thumbnail once though a worker is killed, leaves nothing behind, and ends with 0', async () => {
    const before = folders()
    const env = { NO_COLOR: '1', MILLRACE_URL: rabbit.url, MILLRACE_STORE: undefined }
    const run = startNode(['--import', 'jiti/register', demo], { env })
    expect([await run.ended, run.output()]).toEqual([0, expect.any(String)])
    const output = run.output()
    const steps = [
      /── Start/,
      /worker [12] │ .*Worker started/,
      /60 pictures come in/,
      /worker 1 │ .*made a thumbnail/,
      /── Worker 1 is killed/,
      /── Worker 2 goes on/,
      /worker 2 │ .*A worker fell silent; its jobs are taken over/,
      /── All thumbnails are made/,
      /60 of 60 thumbnails are there\./,
      /── What an operator sees/,
      /thumbnails +- +0 +0 +0 +0 +0 +-/,
      /\bok +0\/4\b/,
      /worker 2 │ .*Worker stopped/,
    ]
    let from = 0
    for (const step of steps) {
      const found = step.exec(output.slice(from))
      expect(found, `${step} after ${from} characters of:\n${output}`).not.toBeNull()
      from += found!.index
    }
    const counts = Array.from(output.matchAll(/process \d+ made (\d+)\./g), ([, count]) => Number(count))
    expect(counts).toHaveLength(2)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(PICTURES)
    expect(output).not.toContain(`${new URL(rabbit.url).password}@`) // the log says where, not with which password
    expect(folders()).toEqual(before)
  }, 180_000)
})

const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('millrace-thumbnails-'))
