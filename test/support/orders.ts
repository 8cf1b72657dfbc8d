// What `npm run demo` prints, whatever it runs on: each step, and nothing twice.
import { join } from 'node:path'
import { expect } from 'vitest'
import { startNode } from '../support/process.js'

const demo = join(import.meta.dirname, '../../examples/orders/demo.ts')

/** Plays the demo to its end. @param env where its jobs are */
export async function playOrders(env: NodeJS.ProcessEnv = {}): Promise<void> {
  const run = startNode(['--import', 'jiti/register', demo], { env: { NO_COLOR: '1', ...env } })
  expect([await run.ended, run.output()]).toEqual([0, expect.any(String)])
  const output = run.output()
  const steps = [
    /1\. An order is placed.*\n\$ curl .*application\/cloudevents\+json/,
    /202 {2}\{"events":\[\{"id":"order-A1~[0-9a-f]{12}","duplicate":false\}\]\}/,
    /200 {2}\{.*"task":"card\.charge","state":"completed","attempt":1,.*"result":\{"receipt":"R-A1"\}/,
    /202 {2}\{"events":\[\{"id":"order-A1~[0-9a-f]{12}","duplicate":true\}\]\}/,
    /200 {2}\{.*"state":"completed","attempt":2,.*"result":\{"receipt":"R-B2"\}/,
    /422 {2}\{.*"code":"ERR_VALIDATION"/,
    /6\. The schedule ticks[^]*sales report/,
    /order\.placed +audit +card\.charge/,
    /sales-report +ok/,
    /Everything that was asked for was done\./,
  ]
  let from = 0
  for (const step of steps) {
    const found = step.exec(output.slice(from))
    expect(found, `${step} after ${from} characters of:\n${output}`).not.toBeNull()
    from += found!.index
  }
  // What happened twice would be seen here.
  expect(output.match(/charging the card, attempt 1.*order=A1/g)).toHaveLength(1)
  expect(output.match(/sent: Order A1 is paid/g)).toHaveLength(1)
}
