// A child process: carries out one order, so that heap and compiled code of one measurement do not touch another.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { CountError } from './cases/case.js'
import { CASES } from './cases/index.js'
import { subjectOf } from './drivers.js'
import { fill, finish } from './filler.js'
import type { Answer, Order } from './order.js'

const order = JSON.parse(process.argv[2]!) as Order
const leave = () => process.exit(1)
process.once('disconnect', leave) // whoever gave the order is gone

async function carryOut(): Promise<Answer> {
  const { folder, jobs } = order
  const subject = subjectOf(order)
  if (order.do !== 'measure') {
    await (order.do === 'fill' ? fill : finish)(subject, folder, jobs)
    return {}
  }
  const { measure, warmUp } = CASES.find(({ name }) => name === order.case)!
  if (warmUp !== undefined) {
    const aside = join(folder, 'warm-up')
    mkdirSync(aside)
    await measure({ ...order, subject, folder: aside, jobs: Math.min(warmUp, jobs) })
  }
  return { measured: await measure({ ...order, subject }) }
}

const answer = await carryOut().catch((error: unknown): Answer => {
  if (!(error instanceof CountError)) console.error(error) // nobody expected it: show where it was thrown
  return { error: (error as Error).message }
})
process.send!(answer, () => {
  process.off('disconnect', leave)
  process.disconnect() // now nothing may keep the process: what a subject left open is found by whoever waits for its end
  if ('error' in answer) process.exit(1)
})
