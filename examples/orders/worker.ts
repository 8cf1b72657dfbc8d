// The worker of the shop. Start it by itself with:
//   npx millrace work examples/orders/worker.ts --url sqlite:orders.db
import { setTimeout as work } from 'node:timers/promises'
import { defineWorker, handle, match, on, route, schedule } from 'millrace'
import * as contracts from './contracts.js'
import { chargeCard, orderPaid, orderPlaced, sendMail } from './contracts.js'

export default defineWorker({
  concurrency: 5,
  handlers: [
    // An order that was placed starts a task: no handler, only how the one becomes the other.
    route(orderPlaced, chargeCard, ({ payload }) => payload),

    handle(chargeCard, async ({ orderId, email, cents }, ctx) => {
      ctx.log.info({ order: orderId, cents }, `charging the card, attempt ${ctx.job.attempt}`)
      await work(50, undefined, { signal: ctx.signal })
      // The bank of this demo drops the first call for every order that costs more than 10,000 cents.
      if (cents > 10_000 && ctx.job.attempt === 1) throw new Error('the bank hung up')
      const receipt = `R-${orderId}`
      // With an id of its own the event is published once, also when this handler runs again after a crash.
      await ctx.publish(orderPaid, { orderId, email, receipt }, { id: `paid-${orderId}` })
      return { receipt }
    }),

    // Two subscribers of the same event. Each has its own queue, retries and dead jobs.
    on(orderPaid, 'thanks', async ({ payload: { orderId, email } }, ctx) => {
      await ctx.enqueue(sendMail, { to: email, subject: `Order ${orderId} is paid` }, { id: `thanks-${orderId}` })
    }),
    on(match('order.#', contracts), 'audit', ({ name, id }, ctx) => {
      ctx.log.info({ event: id }, `noted: ${name}`)
    }),

    handle(sendMail, async ({ to, subject }, ctx) => {
      await work(20, undefined, { signal: ctx.signal })
      ctx.log.info({ to }, `sent: ${subject}`)
    }),

    schedule('sales-report', { cron: '*/2 * * * * *', missed: 'skip' }, (tick, ctx) => {
      ctx.log.info({ tick: tick.local }, 'sales report')
    }),
  ],
})
