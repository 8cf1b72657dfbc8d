// The contracts of an application, as its web and its workers share them.
// Left out because this version does not have them: the options of defineQueue (fair, limits).
import { z } from 'zod'
import * as v from 'valibot'
import { defineEvent, defineQueue, defineTask, exponential, unchecked } from 'millrace/contracts'
export const sendMail = defineTask('mail.send', {
  input: z.object({
    to: z.email(),
    template: z.enum(['welcome', 'receipt']),
    vars: z.record(z.string(), z.string()).default({}),
  }),
  retry: { maxAttempts: 8, backoff: exponential('2s', { max: '1h' }) },
  timeout: '30s',
})
export const scrapeQueue = defineQueue('scrape')
export const scrape = defineTask('scrape.page', {
  input: v.object({ tenant: v.string(), url: v.pipe(v.string(), v.url()) }),
  output: v.object({ status: v.number() }),
  queue: scrapeQueue,
  group: (i) => i.tenant,
  unique: (i) => ({ key: i.url, until: '1h' }),
  expires: '6h',
})
export const thumb = defineTask('image.thumb', {
  input: z.object({ path: z.string(), width: z.int() }),
  output: z.object({ path: z.string() }),
  queue: 'images',
})
export const report = defineTask('report.daily', { input: z.object({ day: z.iso.date() }) })
export const legacy = defineTask('legacy', {
  input: unchecked<{ userId: number }>(),
  output: unchecked<{ ok: boolean }>(),
})
export const orderPaid = defineEvent('order.paid', { payload: z.object({ orderId: z.string(), cents: z.int() }) })
export const orderRefunded = defineEvent('order.refunded', { payload: z.object({ orderId: z.string() }) })
